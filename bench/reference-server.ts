/**
 * The thread of a reference: a bare HTTP server that answers at once, or inserts one row a request into the same
 * Postgres before it answers. It verifies nothing, and posts its port when it listens.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'
import { openDatabase } from '../adapters/postgres/pool.ts'

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

async function serve(databaseUrl: string | null): Promise<number> {
  const store = databaseUrl === null ? () => Promise.resolve() : await inserting(databaseUrl)
  const server = createServer((request, response) => {
    readBody(request)
      .then(store)
      .then(
        () => {
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 }).end('{}')
        },
        () => {
          response.writeHead(503, { 'content-length': 0 }).end()
        },
      )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function inserting(url: string): Promise<(body: Buffer) => Promise<void>> {
  const database = openDatabase({ url, connectionsMax: 16, applicationName: 'bench', logger: quiet })
  await database.query(
    'CREATE TABLE IF NOT EXISTS bench_reference (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL)',
  )
  return async (body) => {
    await database.query('INSERT INTO bench_reference (body) VALUES ($1)', [body])
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const url: unknown = workerData
parentPort?.postMessage(await serve(typeof url === 'string' ? url : null))
