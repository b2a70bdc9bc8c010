/**
 * What the same machine does without hooktrail, in the same run: a bare HTTP server that answers at once, and a bare
 * handler that verifies nothing and inserts one row a request into the same Postgres before it answers.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Reference extends AsyncDisposable {
  readonly port: number
}

/** `store` runs before the answer; the bare server passes one that does nothing. */
export async function startReference(store: (body: Buffer) => Promise<void>): Promise<Reference> {
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
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
