/**
 * A proxy on loopback in front of a real server that spoils the next requests of a method: answers them itself, or
 * breaks the connection before the server saw the request, after the server has done it, or in the midst of its answer.
 * Everything else passes.
 */
import { once } from 'node:events'
import {
  createServer,
  request,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'

export type Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  /** The server has done it, and this is what is answered. */
  | { readonly kind: 'other-answer'; readonly status: number; readonly body: string }
  | { readonly kind: 'lost-request' }
  | { readonly kind: 'lost-answer' }
  /** The first half of the body, then the end of the connection, or nothing more. */
  | { readonly kind: 'cut-answer' | 'stalled-answer' }

export interface FaultProxy extends AsyncDisposable {
  readonly endpoint: string
  /** One for each of the next requests of this method. */
  spoil(method: string, faults: readonly Fault[]): void
  /** Headers of the requests of this method that came in so far. */
  seen(method: string): readonly IncomingHttpHeaders[]
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const planned: { method: string; fault: Fault }[] = []
  const seen: { method: string; headers: IncomingHttpHeaders }[] = []
  const server = createServer((incoming, outgoing) => {
    const { method = '', headers } = incoming
    seen.push({ method, headers })
    const index = planned.findIndex((plan) => plan.method === method)
    const [plan] = index === -1 ? [] : planned.splice(index, 1)
    if (plan === undefined) forward(target, incoming, outgoing)
    else spoilOne(target, incoming, { outgoing, fault: plan.fault })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spoil: (method, faults) => {
      planned.push(...faults.map((fault) => ({ method, fault })))
    },
    seen: (method) => seen.filter((each) => each.method === method).map(({ headers }) => headers),
    [Symbol.asyncDispose]: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

interface Spoiling {
  readonly outgoing: ServerResponse
  readonly fault: Fault
}

function spoilOne(target: string, incoming: IncomingMessage, { outgoing, fault }: Spoiling): void {
  switch (fault.kind) {
    case 'answer':
      incoming.resume().on('end', () => {
        outgoing.writeHead(fault.status, { 'content-type': 'application/xml' }).end(fault.body)
      })
      return
    case 'other-answer':
      forwardTo(target, incoming, (answer) => {
        answer.resume().on('end', () => {
          outgoing.writeHead(fault.status, { 'content-type': 'application/xml' }).end(fault.body)
        })
      })
      return
    case 'lost-request':
      incoming.resume().on('end', () => {
        incoming.socket.destroy()
      })
      return
    case 'lost-answer':
      forwardTo(target, incoming, (answer) => {
        answer.resume().on('end', () => {
          incoming.socket.destroy()
        })
      })
      return
    case 'cut-answer':
    case 'stalled-answer':
      forwardTo(target, incoming, (answer) => {
        void sendHalf(answer, outgoing).then(() => {
          if (fault.kind === 'cut-answer') incoming.socket.destroy()
        })
      })
      return
  }
  fault satisfies never
}

async function sendHalf(answer: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const body = Buffer.concat(await Array.fromAsync<Buffer>(answer))
  outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
  const { promise, resolve } = Promise.withResolvers<void>()
  outgoing.write(body.subarray(0, body.length / 2), () => {
    resolve()
  })
  await promise
}

function forward(target: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  forwardTo(target, incoming, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(outgoing)
  })
}

/** With the headers as they came: they are signed, `host` too. */
function forwardTo(
  target: string,
  incoming: IncomingMessage,
  onAnswer: (answer: IncomingMessage) => void,
): void {
  const { method, headers, url = '/' } = incoming
  const { hostname, port } = new URL(target)
  const sent = request({ hostname, port, path: url, method, headers }, onAnswer)
  sent.on('error', () => {
    incoming.socket.destroy()
  })
  incoming.pipe(sent)
}
