/**
 * Writes what a replay chose into a topic outside hooktrail's own: key, value and headers as they were, and two headers
 * that tell the replay and where the record lay. A step is appended before it is committed, so that a crash in between
 * appends that one step again (at most STEP_RECORDS_MAX records of a partition), under the same two headers.
 */
import assert from 'node:assert/strict'
import type { Clock } from '../core/clock.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type {
  AppendRecord,
  EventLog,
  ForeignTopicLog,
  LogRecord,
  ReadRequest,
  ReadResult,
  Topic,
  TopicPartition,
} from '../core/ports/event-log.ts'
import type { StepDecision } from '../core/ports/plan-store.ts'
import { partitionFor } from '../core/record/partitioner.ts'

export const REPLAY_HEADER = 'ht_replay'
export const REPLAYED_FROM_HEADER = 'ht_replayed_from'

export interface TopicPublisherOptions {
  readonly replayId: string
  readonly to: string
  readonly from: TopicPartition
  /** Log and archive as one. */
  readonly log: Pick<EventLog, 'read' | 'append'>
  readonly foreignLog: ForeignTopicLog
  readonly rate: TopicRate
}

/** What one replay may write, from all its ranges. */
export class TopicRate {
  readonly #perSecond: number | null
  readonly #clock: Pick<Clock, 'monotonic'>
  #restsUntil = -Infinity

  /** @param perSecond records; null: as fast as it goes */
  constructor(perSecond: number | null, clock: Pick<Clock, 'monotonic'>) {
    this.#perSecond = perSecond
    this.#clock = clock
  }

  get allows(): boolean {
    return this.#clock.monotonic() >= this.#restsUntil
  }

  used(records: number): void {
    if (this.#perSecond === null) return
    this.#restsUntil = this.#clock.monotonic() + (records / this.#perSecond) * 1_000
  }
}

export class TopicPublisher {
  readonly #options: TopicPublisherOptions
  #read: readonly LogRecord[] = []

  constructor(options: TopicPublisherOptions) {
    this.#options = options
  }

  /** By the rate. */
  get isAllowed(): boolean {
    return this.#options.rate.allows
  }

  /** As the log's; what was read last is what can be published. */
  async read(request: ReadRequest): Promise<ReadResult> {
    const result = await this.#options.log.read(request)
    this.#read = result.records
    return result
  }

  /** @throws REPLAY_TOPIC_REFUSED where the topic is gone; LOG_UNAVAILABLE, LOG_REFUSED, LOG_TOPIC_REPLACED */
  async publish({ jobs }: StepDecision): Promise<void> {
    const { to, foreignLog, log, rate } = this.#options
    if (jobs.length === 0) return
    const topic = await foreignLog.foreignTopic(to)
    if (topic === null)
      throw new HooktrailError('REPLAY_TOPIC_REFUSED', { topic: to, reason: 'it is not there' })
    const byOffset = new Map(this.#read.map((record) => [record.offset, record]))
    const records = jobs.map(({ offset }) => {
      const record = byOffset.get(offset)
      assert(record !== undefined, 'what was decided was read just before')
      return this.#recordFor(topic, record)
    })
    await log.append(records)
    rate.used(records.length)
  }

  #recordFor(topic: Topic, { offset, key, value, headers }: LogRecord): AppendRecord {
    const { replayId, from } = this.#options
    const own = [
      { name: REPLAY_HEADER, value: replayId },
      { name: REPLAYED_FROM_HEADER, value: `${from.topic}/${from.topicId}/${from.partition}/${offset}` },
    ]
    // Without a key the order of a partition is kept all the same.
    const partition = key === null ? from.partition % topic.partitions : partitionFor(key, topic.partitions)
    return { topic, partition, key, value, headers: [...headers, ...own] }
  }
}
