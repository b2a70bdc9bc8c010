/**
 * The log as a process sees it from its first moment on: until it has answered, every call fails as an
 * unreachable log does. So ingress answers 503 itself instead of not being there (I1).
 */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
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
  ReplaceableLog,
  Topic,
  TopicId,
  TopicPartition,
  TopicSpec,
} from '../../core/ports/event-log.ts'

type OpenedLog = EventLog & Partial<GroupOffsetLog & ForeignTopicLog & ReplaceableLog>

export class DeferredLog implements EventLog, GroupOffsetLog, ReplaceableLog {
  readonly driver: EventLog['driver']
  #log: OpenedLog | null = null

  constructor(driver: EventLog['driver']) {
    this.driver = driver
  }

  open(log: OpenedLog): void {
    this.#log = log
  }

  ensureTopics(specs: readonly TopicSpec[]): Promise<readonly Topic[]> {
    return this.#log?.ensureTopics(specs) ?? notYet()
  }

  topics(): Promise<readonly Topic[]> {
    return this.#log?.topics() ?? notYet()
  }

  append(records: readonly AppendRecord[]): Promise<readonly LogPosition[]> {
    return this.#log?.append(records) ?? notYet()
  }

  read(request: ReadRequest): Promise<ReadResult> {
    return this.#log?.read(request) ?? notYet()
  }

  bounds(partition: TopicPartition): Promise<LogBounds> {
    return this.#log?.bounds(partition) ?? notYet()
  }

  offsetAt(partition: TopicPartition, timestampMs: bigint): Promise<bigint> {
    return this.#log?.offsetAt(partition, timestampMs) ?? notYet()
  }

  epochEnd(partition: TopicPartition, epoch: number): Promise<bigint | null> {
    return this.#log?.epochEnd(partition, epoch) ?? notYet()
  }

  truncate(partition: TopicPartition, before: bigint): Promise<void> {
    return this.#log?.truncate(partition, before) ?? notYet()
  }

  diskUsage(): Promise<{ readonly usedBytes: bigint; readonly capacityBytes: bigint | null }> {
    return this.#log?.diskUsage() ?? notYet()
  }

  /** Only where the log is in Postgres. */
  replaceTopic(topicId: TopicId, keptFrom: readonly bigint[], server: string | null): Promise<void> {
    return this.#log?.replaceTopic?.(topicId, keptFrom, server) ?? notYet()
  }

  /** Only where the log is in Postgres. */
  whileThere<T>(topicId: TopicId, run: () => Promise<T>): Promise<T> {
    return this.#log?.whileThere?.(topicId, run) ?? notYet()
  }

  /** Only where the log is Kafka. */
  commitGroupOffsets(group: string, positions: readonly GroupPosition[]): Promise<void> {
    return this.#log?.commitGroupOffsets?.(group, positions) ?? notYet()
  }

  /** Only where the log is Kafka. */
  foreignTopic(name: string): Promise<Topic | null> {
    return this.#log?.foreignTopic?.(name) ?? notYet()
  }
}

function notYet(): Promise<never> {
  return Promise.reject(
    new HooktrailError('LOG_UNAVAILABLE', { reason: 'it has not answered since the start' }),
  )
}
