/**
 * Whether deliveries want more of the machine than they get: told by the dispatcher, asked by the archiver of the same
 * process. The archive may be behind for seconds without harm; what waits to be delivered may not.
 */
import type { Clock } from './clock.ts'

/** Takes come many a second while there is a backlog. */
const FORGOTTEN_MS = 250

export class Demand {
  readonly #clock: Pick<Clock, 'monotonic'>
  #notedAt = -Infinity

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** A take got all that it asked for: there is more. */
  note(): void {
    this.#notedAt = this.#clock.monotonic()
  }

  get isHigh(): boolean {
    return this.#clock.monotonic() - this.#notedAt < FORGOTTEN_MS
  }
}
