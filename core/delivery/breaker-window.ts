/**
 * Whether the requests of one process to one endpoint show that it does not work (delivery §6). Pure: time comes in,
 * monotonic. Opens at half of at least 20 failures in 10 s with no answer in the last 5 s, or when a failure comes
 * 10 s after the first of a row with nothing else between. Bounded: ten counters.
 */
export const WINDOW_MS = 10_000
export const REQUESTS_MIN = 20
export const FAILED_SHARE = 0.5
/** So long ago the last answer must be. */
export const SILENT_MS = 5_000
const BUCKETS = 10
const BUCKET_MS = WINDOW_MS / BUCKETS

interface Bucket {
  /** Which tenth of a window since the clock's start. */
  readonly number: number
  answered: number
  failed: number
}

export interface Judgement {
  readonly answered: number
  readonly failed: number
}

export class BreakerWindow {
  #buckets: Bucket[] = []
  #answeredAt = -Infinity
  /** First failure since the last answer. */
  #failingSince: number | null = null

  answered(now: number): void {
    this.#bucket(now).answered += 1
    this.#answeredAt = now
    this.#failingSince = null
  }

  /** What was counted in the window, where this failure shows that the endpoint does not work; else null. */
  failed(now: number): Judgement | null {
    this.#bucket(now).failed += 1
    this.#failingSince ??= now
    const counted = this.#count()
    const requests = counted.answered + counted.failed
    const isMostly = requests >= REQUESTS_MIN && counted.failed >= requests * FAILED_SHARE
    const isSilent = now - this.#answeredAt >= SILENT_MS
    const isOnly = now - this.#failingSince >= WINDOW_MS
    return (isMostly && isSilent) || isOnly ? counted : null
  }

  /** Forgets all; the endpoint has just answered. */
  reset(now: number): void {
    this.#buckets = []
    this.#answeredAt = now
    this.#failingSince = null
  }

  #bucket(now: number): Bucket {
    const number = Math.floor(now / BUCKET_MS)
    this.#buckets = this.#buckets.filter((bucket) => bucket.number > number - BUCKETS)
    const last = this.#buckets.at(-1)
    if (last?.number === number) return last
    const bucket = { number, answered: 0, failed: 0 }
    this.#buckets.push(bucket)
    return bucket
  }

  #count(): Judgement {
    return this.#buckets.reduce(
      (sum, bucket) => ({ answered: sum.answered + bucket.answered, failed: sum.failed + bucket.failed }),
      { answered: 0, failed: 0 },
    )
  }
}
