/**
 * Outbox → log: plan steps and attempts to `<prefix>.deliveries`, operators' actions to `<prefix>.audit`. One step
 * reads behind the noted position, appends, then moves the position by compare-and-swap. A crash between the two
 * repeats records, which carry ids: readers take distinct ids. The lease only keeps two relays from doing it for nothing.
 */
import type { Logger } from '../core/log.ts'
import type { AppendRecord, EventLog, Topic } from '../core/ports/event-log.ts'
import type { OutboxKind, OutboxRow, OutboxStore } from '../core/ports/outbox-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { partitionFor } from '../core/record/partitioner.ts'
import { LEASE_RETRY_MS, type Lease } from './lease.ts'
import type { RelayNotes } from './relay-notes.ts'

export const RELAY_KINDS = ['plan_steps', 'attempts', 'audit'] as const satisfies readonly OutboxKind[]
const ROWS_MAX = 500
/** Facts reach the archive after segments of minutes; half a second costs nobody anything and idles cheaply. */
const IDLE_MS = 500
const FULL_PAUSE_MS = 0
const HEADERS = [{ name: 'content-type', value: Buffer.from('application/json') }]

export interface RelayOptions {
  readonly store: OutboxStore
  readonly log: Pick<EventLog, 'append'>
  readonly deliveries: Topic
  readonly audit: Topic
  readonly lease: Lease
  readonly notes: Pick<RelayNotes, 'appended'>
  readonly logger: Logger
  readonly metrics: Metrics
}

export class Relay {
  readonly #options: RelayOptions

  constructor(options: RelayOptions) {
    this.#options = options
  }

  async run(): Promise<number> {
    if (!(await this.#options.lease.hold())) return LEASE_RETRY_MS
    let fullest = 0
    for (const kind of RELAY_KINDS) fullest = Math.max(fullest, await this.step(kind))
    return fullest >= ROWS_MAX ? FULL_PAUSE_MS : IDLE_MS
  }

  /** Publishes one batch of one kind; resolves with how many rows it was. */
  async step(kind: OutboxKind): Promise<number> {
    const { store, log, metrics, notes } = this.#options
    const { from, rows } = await store.readOutbox(kind, ROWS_MAX)
    const last = rows.at(-1)
    if (last === undefined) {
      metrics.set('outbox_lag_records', { kind }, 0)
      return 0
    }
    const positions = await log.append(rows.map((row) => this.#record(kind, row)))
    await notes.appended(this.#topic(kind).id, positions, from.server)
    const moved = await store.advanceOutbox(kind, from, last.position)
    if (!moved) this.#options.logger.info({ kind }, 'another relay moved the position: records are repeated')
    if (rows.length === ROWS_MAX)
      metrics.set('outbox_lag_records', { kind }, Number(await store.outboxLag(kind)))
    return rows.length
  }

  #record(kind: OutboxKind, row: OutboxRow): AppendRecord {
    const topic = this.#topic(kind)
    const key = Buffer.from(row.key)
    return {
      topic,
      partition: partitionFor(key, topic.partitions),
      key,
      value: Buffer.from(row.value),
      headers: HEADERS,
    }
  }

  #topic(kind: OutboxKind): Topic {
    switch (kind) {
      case 'plan_steps':
      case 'attempts':
        return this.#options.deliveries
      case 'audit':
        return this.#options.audit
      default:
        return kind satisfies never
    }
  }
}
