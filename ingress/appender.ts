/**
 * Micro-batched appends. A caller's promise resolves only after the log acknowledged its own record (I1), and rejects
 * when the outcome is unknown. Bounded three ways: records and bytes of a batch, batches in flight, records that wait.
 */
import { Batcher, BatcherFullError } from '../core/batcher.ts'
import type { Clock } from '../core/clock.ts'
import { NEVER } from '../core/deadline.ts'
import { Pace } from '../core/pace.ts'
import type { AppendRecord, EventLog, LogPosition } from '../core/ports/event-log.ts'
import type { Metrics } from '../core/ports/metrics.ts'

export const BATCH_RECORDS_MAX = 500
export const BATCH_BYTES_MAX = 4 * 1024 * 1024
export const BATCHES_IN_FLIGHT_MAX = 2
/** Several seconds of full load; what waits longer is answered 503 by its deadline anyway. */
export const WAITING_RECORDS_MAX = 50_000
/** An append costs log and process about as much as so many records; smaller ones wait a moment for more (core/pace.ts). */
const RECORDS_ENOUGH = 8
const QUIET_RECORDS_PER_SECOND = 400
const PAUSE_MS_MAX = 4

export class Appender {
  readonly #batcher: Batcher<AppendRecord, LogPosition>
  #answered = false

  constructor(log: EventLog, metrics: Metrics, clock: Clock) {
    const pace = new Pace({
      quietPerSecond: QUIET_RECORDS_PER_SECOND,
      enough: RECORDS_ENOUGH,
      pauseMsMax: PAUSE_MS_MAX,
    })
    this.#batcher = new Batcher<AppendRecord, LogPosition>({
      run: async (records) => {
        metrics.observe('append_batch_records', {}, records.length)
        const positions = await log.append(records)
        this.#answered = true
        return positions
      },
      itemsMax: BATCH_RECORDS_MAX,
      inFlightMax: BATCHES_IN_FLIGHT_MAX,
      pendingMax: WAITING_RECORDS_MAX,
      weight: weightOf,
      weightMax: BATCH_BYTES_MAX,
      pause: (records) => {
        const ms = pace.next(records, clock.monotonic())
        return ms === 0 ? null : clock.sleep(ms, NEVER)
      },
    })
  }

  /** True once the log has acknowledged anything. */
  get answered(): boolean {
    return this.#answered
  }

  /** Null at once when too many records wait. */
  append(record: AppendRecord): Promise<LogPosition> | null {
    try {
      return this.#batcher.push(record)
    } catch (error) {
      if (error instanceof BatcherFullError) return null
      throw error
    }
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }
}

/** Bytes, headers included. */
export function weightOf({ key, value, headers }: AppendRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0)
  for (const header of headers) bytes += header.name.length + lengthOf(header.value)
  return bytes
}

function lengthOf(value: Buffer | string | null): number {
  if (value === null) return 0
  return typeof value === 'string' ? Buffer.byteLength(value) : value.length
}
