/**
 * A handler's receiver for tests: keeps every request it got, answers by a script, and can hold requests at a
 * barrier. It is a plain HTTP server, so it is also the independent witness of what was really sent.
 */
import { appendFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

export interface ReceivedRequest {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

export type Answer =
  number | 'hang' | { readonly status: number; readonly headers: Readonly<Record<string, string>> }

export interface Receiver extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly ReceivedRequest[]
  /** Most requests that were open at once for the path. */
  openMost(path: string): number
  /** Resolves when `count` requests have arrived in all. */
  arrived(count: number): Promise<void>
  /** Answer to the n-th request (from 0) for this path, or its status; the default is 200. 'hang' never answers. */
  script(path: string, answer: (n: number, request: ReceivedRequest) => Answer): void
  /** From now on requests for this path wait until the returned function is called. */
  hold(path: string): () => void
}

export interface ReceiverOptions {
  /** One line `webhook-id status` is appended for each answer, before it is sent. */
  readonly file?: string
  readonly keepBodies?: boolean
}

export async function startReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const requests: ReceivedRequest[] = []
  const scripts = new Map<string, (n: number, request: ReceivedRequest) => Answer>()
  const counts = new Map<string, number>()
  const open = new Map<string, { now: number; most: number }>()
  const barriers = new Map<string, Promise<void>>()
  let waiting: { count: number; resolve: () => void }[] = []

  async function handle(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of message) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
    const path = message.url ?? '/'
    const request = {
      path,
      headers: message.headers,
      body: options.keepBodies === false ? Buffer.alloc(0) : Buffer.concat(chunks),
    }
    const n = counts.get(path) ?? 0
    counts.set(path, n + 1)
    requests.push(request)
    waiting = waiting.filter(({ count, resolve }) => (requests.length >= count ? (resolve(), false) : true))
    await barriers.get(path)
    const answer = scripts.get(path)?.(n, request) ?? 200
    if (answer === 'hang') return
    const { status, headers } = typeof answer === 'number' ? { status: answer, headers: {} } : answer
    if (options.file !== undefined)
      appendFileSync(options.file, `${String(message.headers['webhook-id'])} ${status}\n`)
    response.writeHead(status, { 'content-length': 0, ...headers }).end()
  }

  const server = createServer((message, response) => {
    const row = open.get(message.url ?? '/') ?? { now: 0, most: 0 }
    open.set(message.url ?? '/', row)
    row.most = Math.max(row.most, ++row.now)
    response.once('close', () => row.now--)
    handle(message, response).catch(() => {
      response.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    openMost: (path) => open.get(path)?.most ?? 0,
    arrived: (count) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      if (requests.length >= count) resolve()
      else waiting.push({ count, resolve })
      return promise
    },
    script: (path, answer) => {
      scripts.set(path, answer)
    },
    hold: (path) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      barriers.set(path, promise)
      return () => {
        barriers.delete(path)
        resolve()
      }
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
