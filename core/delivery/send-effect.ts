/**
 * What the end of a request says of the endpoint itself, as opposed to the job. Pure. Only what shows that an endpoint does
 * not work counts against it; whoever refuses an event (400) works, and whoever asks for time (429 or 503 with
 * Retry-After) gets it instead of being cut off.
 */
import type { FinishedSend } from './decide-outcome.ts'
import { retryAfterMs } from './retry-after.ts'

export type SendEffect =
  /** It answered by its own judgement. */
  | { readonly kind: 'answered' }
  /** Transport error, timeout, 408 or 5xx: counts for the breaker. */
  | { readonly kind: 'failed' }
  /** It asks not to be sent to for so long: counts for the rate. */
  | { readonly kind: 'slow-down'; readonly waitMs: number }
  /** No request was made: says nothing. */
  | { readonly kind: 'none' }

export function effectOf(result: FinishedSend, nowMs: number): SendEffect {
  switch (result.kind) {
    case 'response':
      return effectOfAnswer(result.statusCode, retryAfterMs(result.retryAfter, nowMs))
    case 'failed':
      return { kind: result.errorClass === 'blocked' ? 'none' : 'failed' }
    default:
      return result satisfies never
  }
}

function effectOfAnswer(status: number, waitMs: number | null): SendEffect {
  if ((status === 429 || status === 503) && waitMs !== null) return { kind: 'slow-down', waitMs }
  return { kind: status === 408 || status >= 500 ? 'failed' : 'answered' }
}
