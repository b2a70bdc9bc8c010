/**
 * How many requests one process may begin to one endpoint now: its share of `rate_limit`, and less while the endpoint asks
 * for time. A bucket that holds no more than a tenth of a second, so that no second sees much more than the rate.
 * Pure: time comes in, monotonic.
 */
const BURST_MS = 100
/** An endpoint that asks for time is asked again after at most so long: jobs have delays of their own. */
export const HOLD_MS_MAX = 60_000
/** Many requests are under way when the first answer asks for time: the rate is halved once in so long. */
const CHANGE_MS = 1_000
const RAISED_BY = 1.25
const PER_SECOND_MIN = 1
/** The measured rate is that of about so long. */
const MEMORY_MS = 5_000

export class SendRate {
  /** Requests a second; null: none is configured. */
  #limit: number | null
  /** What is left of it while the endpoint is asked less. */
  #lowered: number | null = null
  /** Measured when it was lowered: where a handler without a limit is free again. */
  #usual = 0
  #changedAt = -Infinity
  #heldUntil = -Infinity
  #tokens = 1
  #filledAt: number | null = null
  #measured = 0
  #measuredAt: number | null = null

  constructor(perSecond: number | null) {
    this.#limit = perSecond
  }

  /** Requests a second at this moment; Infinity where nothing bounds them. */
  get perSecond(): number {
    return Math.min(this.#limit ?? Infinity, this.#lowered ?? Infinity)
  }

  /** This process's share from now on. */
  resize(perSecond: number | null): void {
    this.#limit = perSecond
  }

  /** Requests that may begin now. */
  free(now: number): number {
    if (now < this.#heldUntil) return 0
    this.#fill(now)
    return this.perSecond === Infinity ? Infinity : Math.floor(this.#tokens)
  }

  /** Milliseconds until one may begin. */
  waitMs(now: number): number {
    if (now < this.#heldUntil) return this.#heldUntil - now
    if (this.free(now) > 0) return 0
    return Math.ceil(((1 - this.#tokens) / this.perSecond) * 1_000)
  }

  took(requests: number, now: number): void {
    if (requests === 0) return
    this.#fill(now)
    if (this.perSecond !== Infinity) this.#tokens -= requests
    this.#measured = this.#measuredPerSecond(now) + (requests * 1_000) / MEMORY_MS
    this.#measuredAt = now
  }

  /** The endpoint asks not to be sent to for `waitMs`. */
  slowDown(waitMs: number, now: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, now + Math.min(waitMs, HOLD_MS_MAX))
    if (now - this.#changedAt < CHANGE_MS) return
    this.#changedAt = now
    const current = Math.min(this.perSecond, this.#measuredPerSecond(now))
    if (this.#lowered === null) this.#usual = current
    this.#lowered = Math.max(PER_SECOND_MIN, current / 2)
    this.#tokens = Math.min(this.#tokens, 1)
  }

  /** It did what was asked. */
  answered(now: number): void {
    if (this.#lowered === null || now < this.#heldUntil || now - this.#changedAt < CHANGE_MS) return
    this.#changedAt = now
    this.#lowered *= RAISED_BY
    // Twice what it took before it complained: nothing shows that it would again.
    if (this.#lowered >= Math.min(this.#limit ?? Infinity, 2 * this.#usual)) this.#lowered = null
  }

  #fill(now: number): void {
    const perSecond = this.perSecond
    const elapsedMs = now - (this.#filledAt ?? now)
    this.#filledAt = now
    if (perSecond === Infinity) this.#tokens = 1
    else {
      const most = Math.max(1, (perSecond * BURST_MS) / 1_000)
      this.#tokens = Math.min(most, this.#tokens + (perSecond * elapsedMs) / 1_000)
    }
  }

  #measuredPerSecond(now: number): number {
    return this.#measured * Math.exp(-(now - (this.#measuredAt ?? now)) / MEMORY_MS)
  }
}
