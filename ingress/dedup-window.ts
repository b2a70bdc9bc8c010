/**
 * Recently acknowledged keys, for a sender's immediate repeats. A key enters only after the log acknowledged it: one
 * that entered before would turn a 503 into a loss. A hit needs the same key and the same body digest; what
 * misses is appended and the planner decides.
 */
export const DEDUP_WINDOW_MS = 30_000
export const DEDUP_KEYS_MAX = 100_000

interface Acknowledged {
  readonly eventId: string
  readonly atMs: number
}

export class DedupWindow {
  readonly #windowMs: number
  readonly #keysMax: number
  /** In order of acknowledgement, so the oldest come first. */
  readonly #entries = new Map<string, Acknowledged>()

  constructor(windowMs: number = DEDUP_WINDOW_MS, keysMax: number = DEDUP_KEYS_MAX) {
    this.#windowMs = windowMs
    this.#keysMax = keysMax
  }

  get size(): number {
    return this.#entries.size
  }

  /** The original's event id, or null. Times are monotonic milliseconds. */
  find(twinKey: string, nowMs: number): string | null {
    const entry = this.#entries.get(twinKey)
    return entry !== undefined && nowMs - entry.atMs < this.#windowMs ? entry.eventId : null
  }

  /** The first event of a key within the window stays its original. */
  acknowledge(twinKey: string, eventId: string, nowMs: number): void {
    if (this.find(twinKey, nowMs) !== null) return
    this.#entries.delete(twinKey)
    this.#entries.set(twinKey, { eventId, atMs: nowMs })
    for (const [oldest, { atMs }] of this.#entries) {
      if (this.#entries.size <= this.#keysMax && nowMs - atMs < this.#windowMs) break
      this.#entries.delete(oldest)
    }
  }
}
