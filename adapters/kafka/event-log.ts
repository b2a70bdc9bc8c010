/**
 * The event log on Apache Kafka or what speaks its protocol: acknowledged by all in-sync replicas, read up to the last
 * stable offset with every offset accounted for, never mixing two topics of the same name. Several processes may append
 * and read at once.
 */
import { Admin, deleteRecordsV1, deleteRecordsV2 } from '@platformatic/kafka'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type {
  AppendRecord,
  EventLog,
  ForeignTopicLog,
  GroupOffsetLog,
  GroupPosition,
  LogBounds,
  LogPosition,
  ReadRequest,
  ReadResult,
  Topic,
  TopicPartition,
  TopicSpec,
} from '../../core/ports/event-log.ts'
import { Appender } from './appender.ts'
import { asLogError } from './broker-error.ts'
import { Cluster } from './cluster.ts'
import { within } from './deadline.ts'
import { diskUsage } from './disk-usage.ts'
import { commitGroupOffsets } from './group-offsets.ts'
import { adminOptions, type KafkaOptions } from './kafka-options.ts'
import { PartitionReader } from './partition-reader.ts'
import { TopicAdmin } from './topic-admin.ts'

export interface KafkaEventLog extends EventLog, GroupOffsetLog, ForeignTopicLog, AsyncDisposable {
  readonly driver: 'kafka'
}

export interface KafkaEventLogOptions extends KafkaOptions {
  readonly topicPrefix: string
  /** Replicas of topics that are created, and the least of those that are there. */
  readonly replication: number
  /** The largest record, key and headers included: the largest body that a source takes + 64 KiB. */
  readonly recordBytesMax: number
  readonly clock: Clock
  readonly logger: Logger
  /** How long an append may take before it is unknown. */
  readonly appendMsMax?: number
  /** Cap what is negotiated, for brokers that announce more than they do, and tests. */
  readonly fetchVersionMax?: number
  readonly produceVersionMax?: number
}

const CONNECT_MS_MAX = 5_000
const APPEND_MS_MAX = 10_000
const ANSWER_MS_MAX = 5_000
const TOPICS_MS_MAX = 30_000
const BATCH_BYTES_MAX = 1_000_000
const DELETE_MS_MAX = 3_000

/** @throws LOG_UNAVAILABLE when no broker answers in time, LOG_REFUSED */
export async function createKafkaEventLog(options: KafkaEventLogOptions): Promise<KafkaEventLog> {
  const log = new KafkaLog(options)
  try {
    await log.connect()
  } catch (error) {
    await log[Symbol.asyncDispose]()
    throw error
  }
  return log
}

class KafkaLog implements KafkaEventLog {
  readonly driver = 'kafka'
  readonly #clock: Clock
  readonly #cluster: Cluster
  readonly #admin: Admin
  readonly #topicAdmin: TopicAdmin
  readonly #appender: Appender
  readonly #reader: PartitionReader
  #stopped: Promise<void> | null = null

  constructor(options: KafkaEventLogOptions) {
    const { clock, logger, recordBytesMax } = options
    this.#clock = clock
    this.#cluster = new Cluster(options, clock)
    this.#admin = new Admin(adminOptions(options))
    this.#topicAdmin = new TopicAdmin({ ...options, cluster: this.#cluster, admin: this.#admin })
    this.#appender = new Appender({
      ...{ clock, logger, cluster: this.#cluster },
      batchBytesMax: Math.min(recordBytesMax, BATCH_BYTES_MAX),
      appendMsMax: options.appendMsMax ?? APPEND_MS_MAX,
      produceVersionMax: options.produceVersionMax,
    })
    this.#reader = new PartitionReader(this.#cluster, clock, options.fetchVersionMax)
  }

  async connect(): Promise<void> {
    await this.#bounded(this.#cluster.refresh([]), CONNECT_MS_MAX)
  }

  ensureTopics(specs: readonly TopicSpec[]): Promise<readonly Topic[]> {
    return this.#bounded(this.#topicAdmin.ensure(specs), TOPICS_MS_MAX)
  }

  topics(): Promise<readonly Topic[]> {
    return this.#bounded(this.#topicAdmin.list())
  }

  async append(records: readonly AppendRecord[]): Promise<readonly LogPosition[]> {
    return records.length === 0 ? [] : asLogError(this.#appender.append(records))
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return asLogError(this.#reader.read(request))
  }

  bounds(at: TopicPartition): Promise<LogBounds> {
    return this.#bounded(this.#cluster.bounds(at))
  }

  offsetAt(at: TopicPartition, timestampMs: bigint): Promise<bigint> {
    return this.#bounded(this.#offsetAt(at, timestampMs))
  }

  epochEnd(at: TopicPartition, epoch: number): Promise<bigint | null> {
    return this.#bounded(this.#cluster.epochEnd(at, epoch))
  }

  truncate(at: TopicPartition, before: bigint): Promise<void> {
    return this.#bounded(this.#truncate(at, before))
  }

  diskUsage(): Promise<{ usedBytes: bigint; capacityBytes: bigint | null }> {
    return this.#bounded(this.#topicAdmin.list().then((topics) => diskUsage(this.#admin, topics)))
  }

  foreignTopic(name: string): Promise<Topic | null> {
    return this.#bounded(this.#topicAdmin.foreign(name))
  }

  commitGroupOffsets(group: string, positions: readonly GroupPosition[]): Promise<void> {
    return this.#bounded(commitGroupOffsets(this.#admin, group, positions))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return (this.#stopped ??= this.#stop())
  }

  async #stop(): Promise<void> {
    await Promise.all([this.#appender.close(), this.#reader.close()])
    this.#cluster.close()
    await this.#admin.close()
  }

  #bounded<T>(work: Promise<T>, ms: number = ANSWER_MS_MAX): Promise<T> {
    return asLogError(within(ms, this.#clock, work))
  }

  async #offsetAt(at: TopicPartition, timestampMs: bigint): Promise<bigint> {
    const found = await this.#cluster.listOffset(at, timestampMs)
    if (found < 0n) return (await this.#cluster.bounds(at)).highWatermark
    await this.#cluster.confirm(at)
    return found
  }

  /** The request names the topic, so its id is confirmed just before: a topic made anew in between would be cut. */
  async #truncate(at: TopicPartition, before: bigint): Promise<void> {
    const { logStart, highWatermark } = await this.#cluster.bounds(at)
    const offset = before < highWatermark ? before : highWatermark
    if (offset <= logStart) return
    const topics = [{ name: at.topic, partitions: [{ partitionIndex: at.partition, offset }] }]
    const apis = [deleteRecordsV1.api, deleteRecordsV2.api]
    await this.#cluster.askLeader(at, (broker) =>
      this.#cluster.connections.ask(broker, apis, [topics, DELETE_MS_MAX]),
    )
  }
}
