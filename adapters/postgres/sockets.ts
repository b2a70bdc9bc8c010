/**
 * The sockets of a database client. The driver waits for the server to close its side, which one that hangs never does:
 * here every connection ends, so that nobody's stop and no process waits for a silent server.
 */
import { Socket } from 'node:net'

const CLOSE_MS_MAX = 2_000

export class Sockets {
  readonly #open = new Set<Socket>()

  /** For the driver, which connects it. */
  create(): Socket {
    const socket = new Socket()
    this.#open.add(socket)
    socket.once('close', () => this.#open.delete(socket))
    return socket
  }

  destroy(): void {
    for (const socket of this.#open) socket.destroy()
  }

  /** Resolves when all have closed; those that the server does not close in time are destroyed. */
  async closed(): Promise<void> {
    const deadline = setTimeout(() => {
      this.destroy()
    }, CLOSE_MS_MAX)
    await Promise.all([...this.#open].map(untilClosed))
    clearTimeout(deadline)
  }
}

function untilClosed(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.once('close', () => {
    resolve()
  })
  return promise
}
