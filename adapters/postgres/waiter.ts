/** A wait that a wake-up ends. One that came while nobody waited counts for the next wait, so that none is missed. */
import type { Clock } from '../../core/clock.ts'

export class Waiter {
  #isWoken = false
  #timer: AbortController | null = null

  wake(): void {
    this.#isWoken = true
    this.#timer?.abort()
  }

  /** At most `ms`, not at all where they have passed; also ended by `signal`. */
  async wait(ms: number, clock: Clock, signal?: AbortSignal): Promise<void> {
    if (!this.#isWoken && ms > 0) {
      const timer = new AbortController()
      this.#timer = timer
      await clock.sleep(ms, signal === undefined ? timer.signal : AbortSignal.any([timer.signal, signal]))
      this.#timer = null
    }
    // Who gives up has not looked: what came meanwhile counts for the next.
    if (signal?.aborted === true) return
    this.#isWoken = false
  }
}
