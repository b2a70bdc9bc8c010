/**
 * How far each handler's planning is behind, over its partitions: records in sum, seconds of the hindmost, and how many
 * seconds are left until what it needs next leaves the log and must come from the archive.
 */
import type { Metrics } from '../core/ports/metrics.ts'

export interface Lag {
  readonly records: number
  readonly seconds: number
}

export class HandlerLags {
  readonly #metrics: Metrics
  readonly #retentionSeconds: number
  readonly #lags = new Map<string, Map<number, Lag>>()

  constructor(metrics: Metrics, retentionMs: number) {
    this.#metrics = metrics
    this.#retentionSeconds = retentionMs / 1000
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
    this.#metrics.set('handler_margin_seconds', { handler }, Math.max(0, this.#retentionSeconds - seconds))
  }
}
