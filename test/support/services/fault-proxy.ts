/**
 * A proxy on loopback in front of a real server that spoils the next requests of a method: answers them itself, or
 * breaks the connection before the server saw the request, or after the server has done it. Everything else passes.
 */
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Fault =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  | { readonly kind: 'lost-request' }
  | { readonly kind: 'lost-answer' }

export interface FaultProxy extends AsyncDisposable {
  readonly endpoint: string
  /** One for each of the next requests of this method. */
  spoil(method: string, faults: readonly Fault[]): void
  /** Requests of this method that came in so far. */
  seen(method: string): number
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const planned: { method: string; fault: Fault }[] = []
  const seen = new Map<string, number>()
  const server = createServer((incoming, outgoing) => {
    const { method = '' } = incoming
    seen.set(method, (seen.get(method) ?? 0) + 1)
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
    seen: (method) => seen.get(method) ?? 0,
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
  }
  fault satisfies never
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
