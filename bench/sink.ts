/**
 * The receiver of a benchmark: answers 204 to every delivery with as little work as possible, counts them, and tells
 * which event arrived when. It can hold its answers back, which lets a backlog grow.
 */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

export interface Sink extends AsyncDisposable {
  readonly port: number
  readonly delivered: () => number
  /** Resolves when `count` deliveries have arrived in all. */
  until(count: number): Promise<void>
  hold(): void
  release(): void
}

const ANSWER = 'HTTP/1.1 204 No Content\r\n\r\n'
export const FAILING = 'HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n'

export async function startSink(
  onDelivery: (eventId: string, atMs: number) => void,
  answer = ANSWER,
): Promise<Sink> {
  const sockets = new Set<Socket>()
  const held: Socket[] = []
  let holding = false
  let delivered = 0
  let target: { count: number; resolve: () => void } | null = null

  function deliver(socket: Socket, head: string): void {
    delivered++
    onDelivery(/webhook-id: (\w+)/i.exec(head)?.[1] ?? '', performance.now())
    if (holding) held.push(socket)
    else socket.write(answer)
    if (target !== null && delivered >= target.count) target.resolve()
  }

  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    let received = ''
    socket.on('close', () => {
      sockets.delete(socket)
    })
    socket.on('error', () => {
      socket.destroy()
    })
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      for (;;) {
        const end = received.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = received.slice(0, end)
        const size = end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
        if (received.length < size) return
        received = received.slice(size)
        deliver(socket, head)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    port: (server.address() as AddressInfo).port,
    delivered: () => delivered,
    until: (count) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      if (delivered >= count) resolve()
      else target = { count, resolve }
      return promise
    },
    hold: () => {
      holding = true
    },
    release: () => {
      holding = false
      for (const socket of held.splice(0)) socket.write(answer)
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
