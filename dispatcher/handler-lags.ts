/** How far each handler's planning is behind, over its partitions: records in sum, seconds of the hindmost. */
import type { Metrics } from '../core/ports/metrics.ts'

export interface Lag {
  readonly records: number
  readonly seconds: number
}

export class HandlerLags {
  readonly #metrics: Metrics
  readonly #lags = new Map<string, Map<number, Lag>>()

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  note(handler: string, partition: number, lag: Lag): void {
    const partitions = this.#lags.get(handler) ?? new Map<number, Lag>()
    this.#lags.set(handler, partitions.set(partition, lag))
    let records = 0
    let seconds = 0
    for (const one of partitions.values()) {
      records += one.records
      seconds = Math.max(seconds, one.seconds)
    }
    this.#metrics.set('handler_lag_records', { handler }, records)
    this.#metrics.set('handler_lag_seconds', { handler }, seconds)
  }
}
