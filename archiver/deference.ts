/**
 * When the archiver lets deliveries go first: while they want more of the machine, for a bounded time, after which it
 * works until it has caught up. So a burst is delivered at full speed, and a load that lasts is archived all the same.
 */
import type { Clock } from '../core/clock.ts'
import type { Demand } from '../core/demand.ts'

/** Well below the cadence of the heartbeats, which say how far the archive is behind. */
const DEFER_MS_MAX = 15_000
/** Of a segment's age: what waits must not delay the commit of a segment noticeably. */
const DEFER_SHARE = 0.1

export interface DeferenceOptions {
  readonly clock: Pick<Clock, 'monotonic'>
  /** Absent where no dispatcher shares the process. */
  readonly demand: Pick<Demand, 'isHigh'> | undefined
  readonly rollAgeMs: number
}

export class Deference {
  readonly #options: DeferenceOptions
  #sinceMs: number | null = null

  constructor(options: DeferenceOptions) {
    this.#options = options
  }

  get defers(): boolean {
    const { clock, demand, rollAgeMs } = this.#options
    if (demand?.isHigh !== true) return false
    const now = clock.monotonic()
    this.#sinceMs ??= now
    return now - this.#sinceMs < Math.min(DEFER_MS_MAX, rollAgeMs * DEFER_SHARE)
  }

  /** From now on it may defer again. */
  caughtUp(): void {
    this.#sinceMs = null
  }
}
