/** A TCP listener that nothing may ever reach: counts connections, and answers like a web server to whoever comes. */
import { once } from 'node:events'
import { createServer } from 'node:net'

export interface Trap extends AsyncDisposable {
  readonly port: number
  readonly connections: number
}

/** On every address of the machine, so that a connection to any of them counts. */
export async function openTrap(): Promise<Trap> {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.on('error', () => undefined)
    socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
  })
  server.listen(0)
  await once(server, 'listening')
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    get connections() {
      return connections
    },
    [Symbol.asyncDispose]: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}
