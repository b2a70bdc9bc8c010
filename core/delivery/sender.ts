/**
 * Port: one HTTP request to a handler's endpoint. Adapter: adapters/http/send.ts.
 * It never throws for what the network or the endpoint does: every end of a request is a returned result, and
 * core/delivery/decide-outcome.ts alone says what that means.
 */
import type { AttemptTimings } from '../ports/attempt-timings.ts'

export interface DeliveryRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export type TransportErrorClass = 'timeout' | 'connect' | 'dns' | 'tls' | 'blocked' | 'network'

interface Sent {
  readonly timings: AttemptTimings
  readonly remoteAddress: string | null
}

export type SendResult =
  | (Sent & {
      readonly kind: 'response'
      readonly statusCode: number
      readonly retryAfter: string | null
      /** The first bytes of the body, as many as are kept for this status; null when none are. */
      readonly body: Buffer | null
    })
  | (Sent & { readonly kind: 'failed'; readonly errorClass: TransportErrorClass; readonly detail: string })
  /** The sender was closed while the request was open: nobody knows what the endpoint did (attempt `unknown`). */
  | (Sent & { readonly kind: 'abandoned' })

/** Sends to one handler. */
export interface Sender {
  send(request: DeliveryRequest): Promise<SendResult>
  /** Ends open requests as 'abandoned' and closes the connections. */
  close(): Promise<void>
}
