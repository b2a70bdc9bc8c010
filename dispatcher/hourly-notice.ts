/**
 * What is told once for a handler and hour, however often it happens: the first is told with its details, the next one
 * past the hour with how many there were in between. Bounded by the handlers of the configuration.
 */
import type { Clock } from '../core/clock.ts'

const HOUR_MS = 3_600_000

interface Told {
  at: number
  unsaid: number
}

export class HourlyNotice {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #told = new Map<string, Told>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
  }

  /** How many there were since the last that was told, these included; null: not to be told now. */
  note(handler: string, times = 1): number | null {
    const now = this.#clock.monotonic()
    const told = this.#told.get(handler)
    if (told !== undefined && now - told.at < HOUR_MS) {
      told.unsaid += times
      return null
    }
    this.#told.set(handler, { at: now, unsaid: 0 })
    return times + (told?.unsaid ?? 0)
  }
}
