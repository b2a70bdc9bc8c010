/**
 * How long a loop waits between pieces of work, so that they grow into batches while there is much of it. Below a
 * rate that is quiet, and after a full piece, nothing waits. The pause is bounded, and so is what it adds to the lag.
 */
export interface PaceOptions {
  /** Items a second; up to so many each piece goes at once. */
  readonly quietPerSecond: number
  /** Items that make a piece worth its costs: the pause is as long as they take to come in. */
  readonly enough: number
  readonly pauseMsMax: number
}

/** The rate is that of about so long. */
const MEMORY_MS = 500

export class Pace {
  readonly #options: PaceOptions
  #ratePerMs = 0
  #lastAt: number | null = null

  constructor(options: PaceOptions) {
    this.#options = options
  }

  /** Takes how many items the last piece had, and the monotonic time; returns the milliseconds until the next. */
  next(items: number, now: number): number {
    const { quietPerSecond, enough, pauseMsMax } = this.#options
    const elapsedMs = now - (this.#lastAt ?? now)
    this.#lastAt = now
    this.#ratePerMs = this.#ratePerMs * Math.exp(-elapsedMs / MEMORY_MS) + items / MEMORY_MS
    if (items >= 2 * enough || this.#ratePerMs * 1_000 <= quietPerSecond) return 0
    return Math.min(pauseMsMax, enough / this.#ratePerMs)
  }
}
