/**
 * Port: the durable, ordered, append-only log. Truth of what arrived and in which order (I1, I7).
 * Adapters: adapters/postgres (one box, Postgres + S3), adapters/kafka (full). One contract suite runs on each.
 *
 * Duties that hold for every adapter:
 * - An `append` that resolved survives kill -9 of any process and loss of power. One that rejected may still have
 *   landed: the caller must treat it as unknown.
 * - Offsets of a partition are given in append order, become visible in that order, and are never given twice
 *   within one topic id. On Postgres they are contiguous; a Kafka log may have gaps, which `read` classifies.
 * - A topic that was deleted and created again has another topic id; no method mixes the two.
 */

import type { GapReason } from '../gap-reason.ts'

/** 32 lower-case hex digits (the topic's UUID without dashes); never all zero. */
export type TopicId = string

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
}

export interface Topic {
  readonly name: string
  readonly id: TopicId
  readonly partitions: number
  /** True when hooktrail created the topic (then a first handler starts at 0, delivery §1). */
  readonly createdByUs: boolean
}

export interface TopicPartition {
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
}

export interface RecordHeader {
  readonly name: string
  readonly value: Buffer | null
}

/** Text is written as UTF-8, which spares the caller a buffer for each header. */
export interface AppendHeader {
  readonly name: string
  readonly value: Buffer | string | null
}

export interface AppendRecord {
  readonly topic: Topic
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly AppendHeader[]
}

export interface LogPosition {
  readonly partition: number
  readonly offset: bigint
  readonly timestampMs: bigint
}

/** 0 = CreateTime, 1 = LogAppendTime, as in the Kafka record batch. The Postgres log always says 1. */
export type TimestampType = 0 | 1

export interface LogRecord {
  readonly offset: bigint
  /** Broker time, milliseconds since the epoch; never decreases within a partition of the Postgres log. */
  readonly timestampMs: bigint
  readonly timestampType: TimestampType
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export interface OffsetGap {
  /** First and last offset without a record, both inclusive. */
  readonly from: bigint
  readonly to: bigint
  /** The log itself knows the first four; the signed losses come from the archive. */
  readonly reason: GapReason
}

export interface ReadRequest extends TopicPartition {
  /** First offset wanted. */
  readonly from: bigint
  readonly recordsMax: number
  /** Soft bound on keys + values + headers: at least one record is returned however large it is. */
  readonly bytesMax: number
  /**
   * How long to wait for a first record; 0 returns at once. An abort resolves with what is there. What lies in the
   * archive may take longer to come: it is fetched behind an answer without records, for whoever asks again.
   */
  readonly waitMsMax: number
  readonly signal?: AbortSignal
}

/** On Kafka each leader's time has a number: what it wrote begins at `start`, within the records that were read. */
export interface LeaderEpoch {
  readonly epoch: number
  readonly start: bigint
}

/** Where what was read came from. */
export type Tier = 'log' | 'archive'

export interface ReadResult {
  readonly tier: Tier
  readonly records: readonly LogRecord[]
  readonly gaps: readonly OffsetGap[]
  /** Where to read on: every offset in [from, next) is a record or lies in a gap. Equals `from` when nothing came. */
  readonly next: bigint
  /** First offset that the log still holds. */
  readonly logStart: bigint
  /**
   * Offset that the next record will get. On Kafka the last stable offset, where reading ends: while somebody's
   * transaction is open it stays at that transaction's first record.
   */
  readonly highWatermark: bigint
  /** Ascending, without those that repeat the one before; absent where the log has none. */
  readonly leaderEpochs?: readonly LeaderEpoch[]
}

export interface LogBounds {
  readonly logStart: bigint
  readonly highWatermark: bigint
}

export interface EventLog {
  readonly driver: 'postgres' | 'kafka'

  /** Creates what is missing, checks what is there. Idempotent; several processes may call it at once. */
  ensureTopics(specs: readonly TopicSpec[]): Promise<readonly Topic[]>

  /** Fresh metadata of every topic below the configured prefix, ordered by name. */
  topics(): Promise<readonly Topic[]>

  /**
   * Appends all records durably and resolves with their positions in the same order. Order of the input is kept
   * within a partition. All or nothing is not promised on every adapter; a rejection means "unknown".
   * Callers batch (core/batcher.ts); they bound their own waiting and what is outstanding.
   * @throws LOG_UNAVAILABLE, LOG_TOPIC_REPLACED
   */
  append(records: readonly AppendRecord[]): Promise<readonly LogPosition[]>

  /**
   * Reads one partition from an offset on; never skips, never returns another topic id's records. What the log has
   * forgotten is read where log and archive are one (core/archive/range/union-log.ts), which adds its errors.
   * @throws LOG_OFFSET_OUT_OF_RANGE (details: from, logStart, highWatermark), LOG_TOPIC_REPLACED, LOG_UNAVAILABLE
   */
  read(request: ReadRequest): Promise<ReadResult>

  bounds(partition: TopicPartition): Promise<LogBounds>

  /** First offset whose timestamp is ≥ `timestampMs`, else the high watermark. */
  offsetAt(partition: TopicPartition, timestampMs: bigint): Promise<bigint>

  /**
   * The offset behind what was written in a leader's time: where it lies before something that was read in it, the log
   * has lost its end and grown another one. Null where the log has no epochs, or remembers nothing as old.
   */
  epochEnd(partition: TopicPartition, epoch: number): Promise<bigint | null>

  /** Moves the log start forward to `before` (never back) and frees what lies wholly below. Idempotent. */
  truncate(partition: TopicPartition, before: bigint): Promise<void>

  /** Bytes that the log occupies and the capacity of what it lies on, where known. */
  diskUsage(): Promise<{ readonly usedBytes: bigint; readonly capacityBytes: bigint | null }>
}

/** A log that lies beside the job store, and travels with it when their database is put back: Postgres. */
export interface ReplaceableLog {
  /**
   * The topic goes on under another id, from offset 0, with what it holds from `keptFrom` on, by partition. The job store
   * must be `recovering`. @param server where `keptFrom` was found out; elsewhere nothing is done. @throws
   * LOG_TOPIC_REPLACED where somebody else was first, LOG_UNAVAILABLE
   */
  replaceTopic(topicId: TopicId, keptFrom: readonly bigint[], server: string | null): Promise<void>
  /** While `run` runs, which should be short, nobody replaces the topic. @throws LOG_TOPIC_REPLACED where it is gone */
  whileThere<T>(topicId: TopicId, run: () => Promise<T>): Promise<T>
}

export interface GroupPosition extends Pick<LogPosition, 'partition' | 'offset'> {
  readonly topic: string
}

/** A log with topics beside hooktrail's own: Kafka. */
export interface ForeignTopicLog {
  /** A topic that is not below the prefix; null: there is none of that name that anybody may write to. @throws LOG_UNAVAILABLE */
  foreignTopic(name: string): Promise<Topic | null>
}

/** A log whose own tools show where readers stand: Kafka. For people alone, nothing reads it back. */
export interface GroupOffsetLog {
  /**
   * `offset` is the next one to be read. Repeating it is harmless; a group that has members refuses.
   * @throws LOG_UNAVAILABLE, LOG_REFUSED
   */
  commitGroupOffsets(group: string, positions: readonly GroupPosition[]): Promise<void>
}
