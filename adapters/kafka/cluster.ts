/**
 * The cluster as it was last seen: who leads a partition and which id a topic has. Whatever says that the view is stale
 * (a leader moved, a topic was deleted) has it fetched anew and the request repeated, a bounded number of times.
 */
import {
  listOffsetsV2,
  listOffsetsV3,
  listOffsetsV4,
  listOffsetsV5,
  listOffsetsV6,
  listOffsetsV7,
  offsetForLeaderEpochV3,
  offsetForLeaderEpochV4,
  ListOffsetTimestamps,
  TimeoutError,
  type API,
  type Broker,
} from '@platformatic/kafka'
import type { Clock } from '../../core/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { LogBounds, TopicPartition } from '../../core/ports/event-log.ts'
import { BrokerError, brokerErrorsOf, isBrokerFailure } from './broker-error.ts'
import { Connections } from './connections.ts'
import { parseBroker, type KafkaOptions } from './kafka-options.ts'
import { metadataApis, type ClusterView, type TopicView } from './metadata-api.ts'

const ATTEMPTS_MAX = 8
const RETRY_MS = 150

/** Errors after which the same request may succeed, at another broker or a little later. */
export const RETRIABLE: ReadonlySet<string> = new Set([
  ...['NOT_LEADER_OR_FOLLOWER', 'LEADER_NOT_AVAILABLE', 'FENCED_LEADER_EPOCH', 'UNKNOWN_LEADER_EPOCH'],
  ...['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID', 'INCONSISTENT_TOPIC_ID', 'REPLICA_NOT_AVAILABLE'],
  ...['KAFKA_STORAGE_ERROR', 'OFFSET_NOT_AVAILABLE', 'BROKER_NOT_AVAILABLE', 'REQUEST_TIMED_OUT'],
  ...['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'COORDINATOR_LOAD_IN_PROGRESS'],
  ...[
    'COORDINATOR_NOT_AVAILABLE',
    'CONCURRENT_TRANSACTIONS',
    'THROTTLING_QUOTA_EXCEEDED',
    'NETWORK_EXCEPTION',
  ],
])

const LEADER_NOT_AVAILABLE = 5

export const READ_COMMITTED = 1

const CONSUMER = -1
const NO_EPOCH = -1
const epochEndApis = [offsetForLeaderEpochV3.api, offsetForLeaderEpochV4.api]
const listOffsetsApis = [
  ...[listOffsetsV2.api, listOffsetsV3.api, listOffsetsV4.api],
  ...[listOffsetsV5.api, listOffsetsV6.api, listOffsetsV7.api],
]

export class Cluster {
  readonly connections: Connections
  readonly #bootstrap: readonly Broker[]
  readonly #clock: Clock
  readonly #closing = new AbortController()
  #brokers: ReadonlyMap<number, Broker> = new Map()
  #answered: Broker | null = null
  readonly #topics = new Map<string, TopicView>()

  constructor(options: KafkaOptions, clock: Clock) {
    this.connections = new Connections(options)
    this.#bootstrap = options.brokers.map(parseBroker)
    this.#clock = clock
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  close(): void {
    this.#closing.abort()
    this.connections.close()
  }

  /** Fresh metadata of these topics (null: all). Asks one broker after the other until one answers. */
  async refresh(names: readonly string[] | null): Promise<ClusterView> {
    const view = await this.#askAny(metadataApis, [names])
    this.#remember(view, names)
    return view
  }

  /** The broker that answered last, then any other; the last failure when none answers. */
  async #askAny<A extends unknown[], R>(apis: readonly API<A, R>[], args: A): Promise<R> {
    const answered = this.#answered === null ? [] : [this.#answered]
    let failure: unknown = new BrokerError(LEADER_NOT_AVAILABLE)
    for (const broker of [...answered, ...this.#brokers.values(), ...this.#bootstrap]) {
      try {
        const answer = await this.connections.ask(broker, apis, args)
        this.#answered = broker
        return answer
      } catch (error) {
        if (!isBrokerFailure(error)) throw error
        failure = error
      }
    }
    throw failure
  }

  /** For requests that any broker answers, repeated while it says "not now". */
  async ask<A extends unknown[], R>(apis: readonly API<A, R>[], args: A): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#askAny(apis, args)
      } catch (error) {
        if (attempt === ATTEMPTS_MAX || !isRetriable(error)) throw error
        await this.pause()
      }
    }
  }

  pause(): Promise<void> {
    return this.#clock.sleep(RETRY_MS, this.#closing.signal)
  }

  /**
   * Asks the leader of a partition of exactly this topic id. Not for requests that must not be repeated.
   * @throws LOG_TOPIC_REPLACED
   */
  async askLeader<R>(at: TopicPartition, ask: (broker: Broker) => Promise<R>): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await ask(await this.leaderOf(at))
      } catch (error) {
        if (attempt === ATTEMPTS_MAX || !isRetriable(error)) throw error
        if (attempt > 1) await this.pause()
        await this.refresh([at.topic])
      }
    }
  }

  /** @throws LOG_TOPIC_REPLACED; BrokerError while none is elected */
  async leaderOf(at: TopicPartition): Promise<Broker> {
    await this.topicOf(at)
    return this.brokerOf(this.leaderSeen(at))
  }

  brokerOf(nodeId: number): Broker {
    const broker = this.#brokers.get(nodeId)
    if (broker === undefined) throw new BrokerError(LEADER_NOT_AVAILABLE)
    return broker
  }

  /** Node id of the leader as last seen, -1 when there was none. */
  leaderSeen(at: TopicPartition): number {
    return this.#topics.get(at.topic)?.partitions[at.partition]?.leader ?? -1
  }

  /** Whether the partition was there under this id when last seen. */
  knows({ topic, topicId, partition }: TopicPartition): boolean {
    const known = this.#topics.get(topic)
    return known?.id === topicId && partition < known.partitions.length
  }

  /** The topic as last seen, looked for anew when it is not known by this id. @throws LOG_TOPIC_REPLACED */
  async topicOf(at: TopicPartition): Promise<TopicView> {
    for (let attempt = 1; ; attempt++) {
      const known = this.#topics.get(at.topic)
      if (known?.id === at.topicId && at.partition < known.partitions.length) return known
      // Another id settles it only when it was seen just now; an absent topic may be one that a broker has yet to hear of.
      const seen = attempt > 1 ? known : undefined
      if ((seen !== undefined && seen.id !== at.topicId) || attempt > ATTEMPTS_MAX / 2)
        throw new HooktrailError('LOG_TOPIC_REPLACED', { ...at, now: seen?.id ?? null })
      if (attempt > 1) await this.pause()
      await this.refresh([at.topic])
    }
  }

  /**
   * After a request that named the topic: only if its leader still knows it by this id did the answer come from it.
   * @throws LOG_TOPIC_REPLACED
   */
  async confirm(at: TopicPartition): Promise<void> {
    await this.refreshFrom(await this.leaderOf(at), [at.topic])
    await this.topicOf(at)
  }

  /** Metadata as this broker has it; another one may not have heard yet. */
  async refreshFrom(broker: Broker, names: readonly string[]): Promise<void> {
    this.#remember(await this.connections.ask(broker, metadataApis, [names]), names)
  }

  async bounds(at: TopicPartition): Promise<LogBounds> {
    const [logStart, highWatermark] = await Promise.all([
      this.listOffset(at, ListOffsetTimestamps.EARLIEST),
      this.listOffset(at, ListOffsetTimestamps.LATEST),
    ])
    await this.confirm(at)
    return { logStart, highWatermark }
  }

  /** The first offset at a time, or at one of the marks that stand for the ends; -1 when there is none. */
  async listOffset(at: TopicPartition, timestamp: bigint): Promise<bigint> {
    const partitions = [{ partitionIndex: at.partition, currentLeaderEpoch: NO_EPOCH, timestamp }]
    const { topics } = await this.askLeader(at, (broker) =>
      this.connections.ask(broker, listOffsetsApis, [
        CONSUMER,
        READ_COMMITTED,
        [{ name: at.topic, partitions }],
      ]),
    )
    return topics[0]?.partitions[0]?.offset ?? -1n
  }

  /** Null where the log remembers no epoch as old. */
  async epochEnd(at: TopicPartition, leaderEpoch: number): Promise<bigint | null> {
    const partitions = [{ partitionIndex: at.partition, currentLeaderEpoch: NO_EPOCH, leaderEpoch }]
    const { topics } = await this.askLeader(at, (broker) =>
      this.connections.ask(broker, epochEndApis, [CONSUMER, [{ name: at.topic, partitions }]]),
    )
    await this.confirm(at)
    const end = topics[0]?.partitions[0]?.endOffset ?? -1n
    return end < 0n ? null : end
  }

  #remember({ brokers, topics }: ClusterView, names: readonly string[] | null): void {
    this.#brokers = brokers
    for (const name of names ?? this.#topics.keys()) this.#topics.delete(name)
    for (const [name, topic] of topics) this.#topics.set(name, topic)
  }
}

/** Also a broken connection: another one, or another leader, may do. Not a broker that says nothing at all. */
function isRetriable(error: unknown): boolean {
  if (!isBrokerFailure(error) || error instanceof TimeoutError) return false
  const names = brokerErrorsOf(error)
  return names.length === 0
    ? 'canRetry' in error && error.canRetry === true
    : names.every((name) => RETRIABLE.has(name))
}
