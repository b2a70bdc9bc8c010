/**
 * The way of batches to the brokers. Every partition is a lane with a producer id of its own and at most one batch on its
 * way; that batch is repeated with the same sequence until the broker has told what became of it, so that a retry can
 * neither double nor overtake. Lanes that share a leader share its requests; what arrives meanwhile forms the next ones.
 */
import assert from 'node:assert/strict'
import {
  initProducerIdV0,
  initProducerIdV1,
  initProducerIdV2,
  initProducerIdV3,
  initProducerIdV4,
  type Broker,
} from '@platformatic/kafka'
import type { Clock } from '../../core/clock.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import type { LogPosition, TopicPartition } from '../../core/ports/event-log.ts'
import { BrokerError, errorNameOf, isBrokerFailure, toLogError } from './broker-error.ts'
import { RETRIABLE, type Cluster } from './cluster.ts'
import { Lane, type Waiting } from './lane.ts'
import { PRODUCE_BY_ID_FROM, produceApis, type ProduceAnswer, type ProducedPartition } from './produce-api.ts'
import { encodeBatch } from './record-batch.ts'

export interface ProducerOptions {
  readonly cluster: Cluster
  readonly clock: Clock
  readonly logger: Logger
  /** Of a batch in a partition; a larger record goes alone. */
  readonly batchBytesMax: number
  readonly produceVersionMax: number | undefined
}

/** A broker takes 100 MB by default. */
const REQUEST_BYTES_MAX = 16 * 2 ** 20
const NO_TRANSACTION_MS = 60_000
/** The broker has it, or did: it was told apart from a loss by its sequence, and only its place is unknown. */
const LANDED_BEFORE = 'DUPLICATE_SEQUENCE_NUMBER'
/** The broker forgot the producer: a new one sends the batch again, at least once (the event id decides). */
const PRODUCER_LOST: ReadonlySet<string> = new Set([
  ...['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH', 'PRODUCER_FENCED'],
  'INVALID_PRODUCER_ID_MAPPING',
])

const initProducerIdApis = [
  ...[initProducerIdV0.api, initProducerIdV1.api, initProducerIdV2.api],
  ...[initProducerIdV3.api, initProducerIdV4.api],
]

export class Producer {
  readonly #options: ProducerOptions
  readonly #apis: ReturnType<typeof produceApis>
  readonly #lanes = new Map<string, Lane>()
  readonly #busyLeaders = new Set<number>()
  /** Leaders whose last request failed: told once, not at every try. */
  readonly #troubled = new Set<number>()

  constructor(options: ProducerOptions) {
    this.#options = options
    this.#apis = produceApis(options.produceVersionMax)
  }

  enter(at: TopicPartition, waiting: Waiting): void {
    const lane = this.#lanes.get(laneName(at)) ?? new Lane(at)
    this.#lanes.set(laneName(at), lane)
    lane.waiting.push(waiting)
  }

  /** Drops those of them that were not sent yet; what was sent goes on, since its sequence must be settled. */
  takeBack(gone: ReadonlySet<Waiting>): void {
    for (const lane of this.#lanes.values()) lane.takeBack(gone)
  }

  rejectAll(error: unknown): void {
    for (const lane of this.#lanes.values()) lane.rejectAll(error)
  }

  /** Starts a round for every leader that has none under way. */
  pump(): void {
    const ready = [...this.#lanes.values()].filter((lane) => lane.isReady())
    const byLeader = Map.groupBy(ready, (lane) => this.#options.cluster.leaderSeen(lane.at))
    for (const [leader, lanes] of byLeader) {
      if (this.#busyLeaders.has(leader)) continue
      this.#busyLeaders.add(leader)
      void this.#round(leader, lanes)
    }
  }

  /** What has to be sent again waits by itself: a partition that lacks replicas must not hold up the others. */
  async #round(leader: number, lanes: readonly Lane[]): Promise<void> {
    const sent = this.#take(lanes)
    await this.#tryToSend(leader, sent)
    this.#busyLeaders.delete(leader)
    const unsettled = sent.filter(({ batch }) => batch !== null)
    this.#release(sent.filter(({ batch }) => batch === null))
    if (unsettled.length === 0) return
    await this.#waitForLeaders(unsettled)
    this.#release(unsettled)
  }

  #release(lanes: readonly Lane[]): void {
    for (const lane of lanes) lane.isUnderWay = false
    if (!this.#options.cluster.isClosed) this.pump()
  }

  async #tryToSend(leader: number, lanes: readonly Lane[]): Promise<void> {
    try {
      await this.#send(leader, lanes)
      this.#troubled.delete(leader)
    } catch (error) {
      const told = toLogError(error)
      if (isHooktrailError(told, 'LOG_UNAVAILABLE')) this.#tellTrouble(leader, told)
      else this.#giveUp(lanes, told)
    }
  }

  /** What became of the sequences is not known: new producers start over. */
  #giveUp(lanes: readonly Lane[], error: unknown): void {
    for (const lane of lanes) {
      lane.reject(error)
      lane.producer = null
    }
  }

  #tellTrouble(leader: number, { details }: HooktrailError): void {
    if (!this.#troubled.has(leader))
      this.#options.logger.warn({ leader, ...details }, 'a broker does not take records; trying on')
    this.#troubled.add(leader)
  }

  /** As many lanes as fit a request, each with the batch that it must repeat or with its next one. */
  #take(lanes: readonly Lane[]): readonly Lane[] {
    let bytes = 0
    const taken = lanes.filter((lane) => {
      if (bytes > 0 && bytes + this.#options.batchBytesMax > REQUEST_BYTES_MAX) return false
      bytes += lane.nextBatch(this.#options.batchBytesMax).bytes
      return true
    })
    for (const lane of taken) {
      lane.isUnderWay = true
      // Last in the order of lanes, so that all get their turn.
      const name = laneName(lane.at)
      this.#lanes.delete(name)
      this.#lanes.set(name, lane)
    }
    return taken
  }

  /** Settles the lanes that the broker has told about; the others keep their batch. */
  async #send(leader: number, lanes: readonly Lane[]): Promise<void> {
    const { cluster, clock } = this.#options
    const broker = cluster.brokerOf(leader)
    for (const lane of lanes) lane.producer ??= await this.#newProducer()
    const nowMs = BigInt(clock.now())
    const batches = lanes.map((lane) => {
      const { batch, producer } = lane
      assert.ok(batch !== null && producer !== null)
      const records = batch.waiting.map(({ record }) => record)
      return { at: lane.at, batch: encodeBatch(records, nowMs, producer) }
    })
    const answer = await cluster.connections.ask(broker, this.#apis, [batches])
    if (answer.version < PRODUCE_BY_ID_FROM) await this.#confirmTopics(broker, lanes)
    for (const lane of lanes) this.#settle(lane, answer, nowMs)
  }

  async #newProducer(): Promise<Lane['producer']> {
    const { producerId, producerEpoch } = await this.#options.cluster.ask(initProducerIdApis, [
      null,
      NO_TRANSACTION_MS,
    ])
    return { id: producerId, epoch: producerEpoch, sequence: 0 }
  }

  /** The request named the topics: an answer counts only where they still have the ids that were meant. */
  async #confirmTopics(broker: Broker, lanes: readonly Lane[]): Promise<void> {
    await this.#options.cluster.refreshFrom(broker, topicNames(lanes))
    for (const lane of lanes) await this.#rejectIfReplaced(lane)
  }

  async #rejectIfReplaced(lane: Lane): Promise<void> {
    try {
      await this.#options.cluster.topicOf(lane.at)
    } catch (error) {
      if (isBrokerFailure(error)) throw error
      lane.rejectAll(error)
      this.#lanes.delete(laneName(lane.at))
    }
  }

  #settle(lane: Lane, { version, partitions }: ProduceAnswer, nowMs: bigint): void {
    const { at, batch } = lane
    const topic = version < PRODUCE_BY_ID_FROM ? at.topic : at.topicId
    const produced = partitions.find((each) => each.topic === topic && each.partition === at.partition)
    if (batch === null || produced === undefined) return
    const name = errorNameOf(produced.errorCode)
    if (produced.errorCode !== 0 && lane.trouble !== name)
      this.#options.logger.warn(
        { ...at, error: name, records: batch.waiting.length },
        'a partition does not take records',
      )
    lane.trouble = produced.errorCode === 0 ? null : name
    if (produced.errorCode === 0) lane.resolve((index) => positionOf(produced, index, nowMs))
    else if (name === LANDED_BEFORE) lane.reject(new HooktrailError('LOG_UNAVAILABLE', { reason: name }))
    else if (PRODUCER_LOST.has(name)) lane.producer = null
    else if (!RETRIABLE.has(name)) this.#giveUp([lane], toLogError(new BrokerError(produced.errorCode)))
  }

  /** Before the next try: who leads now, and is it still the same topic? */
  async #waitForLeaders(lanes: readonly Lane[]): Promise<void> {
    const { cluster } = this.#options
    await cluster.pause()
    try {
      await cluster.refresh(topicNames(lanes))
      for (const lane of lanes) await this.#rejectIfReplaced(lane)
    } catch (error) {
      if (!isBrokerFailure(error)) throw error
    }
  }
}

function positionOf(produced: ProducedPartition, index: number, nowMs: bigint): LogPosition {
  const { partition, baseOffset, logAppendTimeMs } = produced
  const timestampMs = logAppendTimeMs < 0n ? nowMs : logAppendTimeMs
  return { partition, offset: baseOffset + BigInt(index), timestampMs }
}

function topicNames(lanes: readonly Lane[]): readonly string[] {
  return [...new Set(lanes.map(({ at }) => at.topic))]
}

function laneName({ topicId, partition }: TopicPartition): string {
  return `${topicId}/${partition}`
}
