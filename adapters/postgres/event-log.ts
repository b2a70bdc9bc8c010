/**
 * The event log as append-only tables: contiguous offsets by a row lock for each partition, durable by the commit
 * (synchronous_commit on, fsync required), read by position, forgotten by dropped slices. Several processes may
 * append and read at once.
 */
import { statfs } from 'node:fs/promises'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type {
  AppendRecord,
  EventLog,
  LogBounds,
  LogPosition,
  ReadRequest,
  ReadResult,
  ReplaceableLog,
  Topic,
  TopicId,
  TopicPartition,
  TopicSpec,
} from '../../core/ports/event-log.ts'
import { appendRecords, type PartitionKey } from './log-append.ts'
import { asLogError } from './log-error.ts'
import { readBounds, readOnce } from './log-read.ts'
import { replaceTopic, whileThere } from './log-replace.ts'
import { maintainSlices, sliceWidthMs } from './log-slices.ts'
import { LogTopics } from './log-topics.ts'
import type { Database } from './database.ts'
import { onServer } from './servers.ts'
import { requireDurableSettings } from './session.ts'
import { Waiter } from './waiter.ts'
import { Wakeup } from './wakeup.ts'

export interface PostgresEventLog extends EventLog, ReplaceableLog, AsyncDisposable {
  readonly driver: 'postgres'
  /** Makes slices ahead and drops what truncate freed; a loop calls it, tests do, too. Returns names dropped. */
  maintain(): Promise<readonly string[]>
  /** For tests and tools: deletes the topic with its offsets. */
  deleteTopic(name: string): Promise<void>
}

export interface PostgresEventLogOptions {
  readonly topicPrefix: string
  readonly retentionMs: number
  readonly clock: Clock
  readonly logger: Logger
  /** Data folder of hooktrail's own Postgres, for diskUsage; null for a database elsewhere. */
  readonly dataDirectory?: string | null
}

/** Readers look this often without being woken: a notification may be lost with its connection. */
const READ_POLL_MS = 1_000
const MAINTAIN_MS_MAX = 60_000
const TIMESTAMP_HINTS_MAX = 1_000

/** The schema must be there (migrate.ts). @throws LOG_FSYNC_OFF, LOG_UNAVAILABLE */
export async function createPostgresEventLog(
  database: Database,
  options: PostgresEventLogOptions,
): Promise<PostgresEventLog> {
  const log = new PostgresLog(database, options)
  await asLogError(requireDurableSettings(database))
  await log.maintain()
  log.start()
  return log
}

class PostgresLog implements PostgresEventLog {
  readonly driver = 'postgres'
  readonly #database: Database
  readonly #options: PostgresEventLogOptions
  readonly #topics: LogTopics
  readonly #stopping = new AbortController()
  /** `<topic number>/<partition>/<offset>` → timestamp of the record before it: lets a tail reader skip old slices. */
  readonly #timestampHints = new Map<string, bigint>()
  #hintsOf: Database | null = null
  #wakeup: Wakeup | null = null
  #maintenance: Promise<void> | null = null
  #stopped: Promise<void> | null = null

  constructor(database: Database, options: PostgresEventLogOptions) {
    this.#database = database
    this.#options = options
    this.#topics = new LogTopics(database, options.topicPrefix)
  }

  start(): void {
    const { clock, logger } = this.#options
    this.#wakeup = new Wakeup({ database: this.#database, clock, logger, kind: 'log' })
    this.#maintenance = this.#maintainForEver()
  }

  ensureTopics(specs: readonly TopicSpec[]): Promise<readonly Topic[]> {
    return asLogError(this.#topics.ensure(specs))
  }

  topics(): Promise<readonly Topic[]> {
    return asLogError(this.#topics.list())
  }

  deleteTopic(name: string): Promise<void> {
    return asLogError(this.#topics.remove(name))
  }

  replaceTopic(topicId: TopicId, keptFrom: readonly bigint[], server: string | null): Promise<void> {
    return asLogError(replaceTopic(onServer(this.#database, server), topicId, keptFrom))
  }

  whileThere<T>(topicId: TopicId, run: () => Promise<T>): Promise<T> {
    return asLogError(whileThere(this.#database, topicId, run))
  }

  async append(records: readonly AppendRecord[]): Promise<readonly LogPosition[]> {
    if (records.length === 0) return []
    const { positions, touched } = await asLogError(appendRecords(this.#topics, records))
    this.#wakeup?.announce(touched.map(wakeupName))
    return positions
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return asLogError(this.#read(request))
  }

  async bounds(partition: TopicPartition): Promise<LogBounds> {
    const topicNo = await asLogError(this.#topics.numberOf(partition.topicId))
    return asLogError(readBounds(this.#topics.there, topicNo, partition))
  }

  async offsetAt(partition: TopicPartition, timestampMs: bigint): Promise<bigint> {
    await this.bounds(partition)
    const topicNo = await this.#topics.numberOf(partition.topicId)
    const [row] = await asLogError(
      this.#topics.there.query<{ found: bigint }>('SELECT log_offset_at($1, $2, $3) AS found', [
        topicNo,
        partition.partition,
        timestampMs.toString(),
      ]),
    )
    return row?.found ?? 0n
  }

  /** One server writes it. */
  epochEnd(): Promise<null> {
    return Promise.resolve(null)
  }

  async truncate(partition: TopicPartition, before: bigint): Promise<void> {
    await this.bounds(partition)
    const topicNo = await this.#topics.numberOf(partition.topicId)
    await asLogError(
      this.#topics.there.query(
        `UPDATE log_partitions SET log_start = least($3, next_offset)
          WHERE topic_no = $1 AND partition_no = $2 AND log_start < least($3, next_offset)`,
        [topicNo, partition.partition, before.toString()],
      ),
    )
    await this.maintain()
  }

  maintain(): Promise<readonly string[]> {
    return asLogError(maintainSlices(this.#database, sliceWidthMs(this.#options.retentionMs)))
  }

  async diskUsage(): Promise<{ usedBytes: bigint; capacityBytes: bigint | null }> {
    const folder = this.#options.dataDirectory ?? null
    if (folder !== null) {
      const { blocks, bfree, bavail, bsize } = await statfs(folder, { bigint: true })
      // As df says it: what is reserved for root is neither used nor to be had.
      const used = blocks - bfree
      return { usedBytes: used * bsize, capacityBytes: (used + bavail) * bsize }
    }
    const [row] = await asLogError(
      this.#database.query<{ bytes: bigint }>(
        `SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint AS bytes
           FROM pg_inherits WHERE inhparent = 'log_records'::regclass`,
      ),
    )
    return { usedBytes: row?.bytes ?? 0n, capacityBytes: null }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    this.#stopping.abort()
    await this.#wakeup?.stop()
    await this.#maintenance
  }

  async #read(request: ReadRequest): Promise<ReadResult> {
    const topicNo = await this.#topics.numberOf(request.topicId)
    const { clock } = this.#options
    const giveUpAt = clock.monotonic() + request.waitMsMax
    const waiter = new Waiter()
    // Subscribed before the first look: an append between look and wait must not be missed.
    using subscriptions = new DisposableStack()
    subscriptions.defer(this.#subscribe({ topicNo, partition: request.partition }, waiter))
    for (;;) {
      const result = await this.#readOnce(topicNo, request)
      const leftMs = giveUpAt - clock.monotonic()
      const aborted = request.signal?.aborted === true || this.#stopping.signal.aborted
      if (result.records.length > 0 || leftMs <= 0 || aborted) return result
      await waiter.wait(Math.min(leftMs, READ_POLL_MS), clock, request.signal)
    }
  }

  #subscribe(key: PartitionKey, waiter: Waiter): () => void {
    const wake = (): void => {
      waiter.wake()
    }
    return this.#wakeup?.subscribe(wakeupName(key), wake) ?? (() => undefined)
  }

  async #readOnce(topicNo: number, request: ReadRequest): Promise<ReadResult> {
    if (this.#hintsOf !== this.#topics.there) this.#timestampHints.clear()
    this.#hintsOf = this.#topics.there
    const name = `${topicNo}/${request.partition}/`
    const hint = this.#timestampHints.get(name + request.from.toString())
    const result = await readOnce(this.#topics.there, topicNo, request, hint ?? 0n)
    const last = result.records.at(-1)
    if (last !== undefined) this.#rememberTimestamp(name + result.next.toString(), last.timestampMs)
    return result
  }

  #rememberTimestamp(position: string, timestampMs: bigint): void {
    this.#timestampHints.set(position, timestampMs)
    if (this.#timestampHints.size <= TIMESTAMP_HINTS_MAX) return
    for (const oldest of this.#timestampHints.keys()) {
      this.#timestampHints.delete(oldest)
      return
    }
  }

  async #maintainForEver(): Promise<void> {
    const { clock, retentionMs } = this.#options
    const everyMs = Math.min(MAINTAIN_MS_MAX, sliceWidthMs(retentionMs) / 2)
    for (;;) {
      await clock.sleep(everyMs, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return
      await this.maintain().catch((error: unknown) => {
        this.#options.logger.warn({ error }, 'the slices of the log were not maintained; trying again')
      })
    }
  }
}

function wakeupName({ topicNo, partition }: PartitionKey): string {
  return `${topicNo}/${partition}`
}
