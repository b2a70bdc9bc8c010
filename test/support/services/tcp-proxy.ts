/**
 * A proxy before a real server that can do what a failover without a word does: connections stay open and carry
 * nothing any more, while new ones work. Or it loses answers: what was asked is done, and whoever asked does not know.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** From now on the connections that there are carry nothing, in either direction, and are not closed. */
  silence(): void
  /** From now on: where this says true the server has answered, and the client gets the end of its connection instead. */
  loseAnswers(isLost: () => boolean): void
  /** So far. */
  readonly lost: () => number
}

/** @param at a port of this machine, or the path of a socket */
export async function startTcpProxy(at: number | string): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  let isLost = (): boolean => false
  let lost = 0
  const server = createServer((client) => {
    const target = typeof at === 'string' ? connect(at) : connect(at, '127.0.0.1')
    // Before the pipe hears of it.
    target.on('data', () => {
      if (client.destroyed || !isLost()) return
      lost += 1
      client.destroy()
      target.destroy()
    })
    client.pipe(target).pipe(client)
    for (const socket of [client, target]) {
      sockets.add(socket)
      // The other side sees the end through the pipe.
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        target.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    silence: () => {
      for (const socket of sockets) socket.unpipe().pause()
    },
    loseAnswers: (given) => {
      isLost = given
    },
    lost: () => lost,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
