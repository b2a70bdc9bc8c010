/**
 * Lets a server that closes come to an end. Node closes the connections that are idle at that moment: not those whose
 * answer comes later (they would keep alive for as long as their client likes), and never those that have sent nothing
 * or half a request, since with the close its own timeouts end. Balancers and clients hold such connections ahead.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../../core/clock.ts'

/** What is under way has so long to be answered. */
const ANSWER_MS_MAX = 10_000
const LOOK_EVERY_MS = 50

/** @returns to be called when the server is about to close */
export function endConnections(server: Server, clock: Clock): () => void {
  const sockets = new Set<Socket>()
  const closed = new AbortController()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.once('close', () => {
    closed.abort()
  })
  const run = async (): Promise<void> => {
    const giveUpAt = clock.monotonic() + ANSWER_MS_MAX
    while (!closed.signal.aborted) {
      await clock.sleep(LOOK_EVERY_MS, closed.signal)
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
      if (clock.monotonic() < giveUpAt) server.closeIdleConnections()
      else server.closeAllConnections()
    }
  }
  return () => {
    if (server.listening) void run()
  }
}
