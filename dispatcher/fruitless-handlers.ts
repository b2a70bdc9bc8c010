/**
 * Disables a handler that has had no success for `delivery.disable_after` and fails still: its jobs stay open, its events
 * wait, and somebody is told. Since when that is so stands in the store, over restarts and for all dispatchers; it is
 * noted once a handler has failed for a while, so that one that fails now and then costs nothing.
 */
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'
import type { Breaker, BreakerStore } from '../core/ports/breaker-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { formatDuration } from '../core/units.ts'

export const NOTED_AFTER_MS = 60_000

export interface FruitlessOptions {
  readonly store: Pick<BreakerStore, 'noteFailing' | 'disableFailing'>
  readonly disableAfterMs: number
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
}

interface Attempts {
  /** Monotonic time of the first failure since the last success; null: none. */
  failingSince: number | null
  /** Since the last step. */
  hasDelivered: boolean
  hasFailed: boolean
}

export class FruitlessHandlers {
  readonly #options: FruitlessOptions
  readonly #attempts = new Map<string, Attempts>()

  constructor(options: FruitlessOptions) {
    this.#options = options
  }

  note(handler: string, isDelivered: boolean): void {
    const row = this.#attempts.get(handler) ?? { failingSince: null, hasDelivered: false, hasFailed: false }
    this.#attempts.set(handler, row)
    if (isDelivered) row.hasDelivered = true
    else row.hasFailed = true
    row.failingSince = isDelivered ? null : (row.failingSince ?? this.#options.clock.monotonic())
  }

  /** @param noted handlers that the store knows as failing, or with a breaker that is not closed. */
  async step(noted: readonly Pick<Breaker, 'handler' | 'failingForMs'>[]): Promise<void> {
    const failingFor = new Map(noted.map(({ handler, failingForMs }) => [handler, failingForMs]))
    const failing: { handler: string; forMs: number }[] = []
    const delivered: string[] = []
    const spent: string[] = []
    for (const [handler, row] of this.#attempts) {
      const notedMs = failingFor.get(handler) ?? null
      const forMs = row.failingSince === null ? 0 : this.#options.clock.monotonic() - row.failingSince
      if (row.hasDelivered && notedMs !== null) delivered.push(handler)
      else if (notedMs === null && forMs >= NOTED_AFTER_MS) failing.push({ handler, forMs })
      else if (row.hasFailed && notedMs !== null && notedMs >= this.#options.disableAfterMs)
        spent.push(handler)
      row.hasDelivered = false
      row.hasFailed = false
    }
    await this.#options.store.noteFailing({ failing, delivered })
    for (const handler of spent) await this.#disable(handler)
  }

  async #disable(handler: string): Promise<void> {
    const { store, disableAfterMs: afterMs, logger, metrics } = this.#options
    const reason = `no_success: none for ${formatDuration(afterMs)}`
    if (!(await store.disableFailing({ handler, afterMs, reason }))) return
    this.#attempts.delete(handler)
    metrics.count('handlers_disabled_total', { handler, reason: 'no_success' })
    logger.error({ handler, reason }, 'handler disabled')
  }
}
