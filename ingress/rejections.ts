/**
 * Keeps refused requests on the rejected topic, at a bounded rate for each source and with a count of what was left
 * out: strangers must neither fill a locked bucket nor slow anybody down. Best effort; the answer never waits for it.
 */
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'
import type { Topic } from '../core/ports/event-log.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { encodeRejection, type Rejection } from '../core/record/rejection.ts'
import type { Appender } from './appender.ts'

/** Tokens of a source's bucket: a burst, then one rejection each second. */
export const REJECTIONS_BURST = 20
export const REJECTIONS_PER_SECOND = 1

interface Bucket {
  tokens: number
  filledAtMs: number
  leftOut: number
}

export interface RejectionsDeps {
  readonly appender: Appender
  /** Null until the log has answered once. */
  readonly topic: () => Topic | null
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly nextId: () => string
}

export type RefusedRequest = Omit<Rejection, 'id' | 'receivedAtMs' | 'leftOut'>

export class Rejections {
  readonly #deps: RejectionsDeps
  /** By configured source: bounded. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(deps: RejectionsDeps) {
    this.#deps = deps
  }

  note(request: RefusedRequest): void {
    const { source, reason } = request
    const { appender, topic, clock, logger, metrics, nextId } = this.#deps
    metrics.count('events_rejected_total', { source, reason })
    if (reason === 'signature') metrics.count('verification_failures_total', { source })
    const bucket = this.#fill(source)
    if (bucket.tokens < 1) {
      bucket.leftOut++
      return
    }
    const { leftOut } = bucket
    bucket.tokens--
    bucket.leftOut = 0
    const record = encodeRejection({ ...request, id: nextId(), receivedAtMs: clock.now(), leftOut })
    const to = topic()
    const appended = to && appender.append({ topic: to, partition: 0, ...record })
    const lost = (error: unknown): void => {
      bucket.leftOut += leftOut + 1
      logger.warn({ source, err: error }, 'a rejection could not be recorded')
    }
    if (appended === null) lost(null)
    else appended.catch(lost)
  }

  #fill(source: string): Bucket {
    const nowMs = this.#deps.clock.monotonic()
    const bucket = this.#buckets.get(source) ?? { tokens: REJECTIONS_BURST, filledAtMs: nowMs, leftOut: 0 }
    const fresh = ((nowMs - bucket.filledAtMs) / 1000) * REJECTIONS_PER_SECOND
    bucket.tokens = Math.min(REJECTIONS_BURST, bucket.tokens + fresh)
    bucket.filledAtMs = nowMs
    this.#buckets.set(source, bucket)
    return bucket
  }
}
