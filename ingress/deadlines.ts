/**
 * Answers requests whose deadline passed while the log did not. One sweep for all of them instead of a timer each: at
 * thousands of requests a second timers cost more than what they guard. A request is answered up to SWEEP_MS early,
 * never late by more than a turn of the loop.
 */
import type { Clock } from '../core/clock.ts'

export const SWEEP_MS = 25

export interface Waiting {
  readonly deadlineMs: number
  /** Monotonic. */
  readonly startedAtMs: number
  expire(): void
}

export class Deadlines {
  readonly #clock: Clock
  /** By deadline, so that each set is in order of expiry. Deadlines come from the configuration: bounded. */
  readonly #waiting = new Map<number, Set<Waiting>>()
  #count = 0
  #first = Promise.withResolvers<void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(request: Waiting): void {
    let set = this.#waiting.get(request.deadlineMs)
    if (set === undefined) {
      set = new Set()
      this.#waiting.set(request.deadlineMs, set)
    }
    set.add(request)
    if (this.#count++ === 0) this.#first.resolve()
  }

  remove(request: Waiting): void {
    if (this.#waiting.get(request.deadlineMs)?.delete(request) !== true) return
    if (--this.#count === 0) this.#first = Promise.withResolvers<void>()
  }

  /** Expires what is due. */
  step(): void {
    const due = this.#clock.monotonic() + SWEEP_MS
    for (const set of this.#waiting.values()) {
      for (const request of set) {
        if (request.startedAtMs + request.deadlineMs > due) break
        this.remove(request)
        request.expire()
      }
    }
  }

  /** Sweeps while anything waits, sleeps while nothing does. */
  async run(signal: AbortSignal): Promise<void> {
    const wake = (): void => {
      this.#first.resolve()
    }
    signal.addEventListener('abort', wake, { once: true })
    while (!signal.aborted) {
      await this.#first.promise
      await this.#clock.sleep(SWEEP_MS, signal)
      this.step()
    }
  }
}
