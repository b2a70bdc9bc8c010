/**
 * Appending: a record is acknowledged when all in-sync replicas have it. An append that does not come back in time is
 * "unknown": what of it was sent goes on behind and may land, what was not sent yet is taken back. All that is
 * outstanding together is bounded.
 */
import assert from 'node:assert/strict'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AppendRecord, LogPosition, TopicPartition } from '../../core/ports/event-log.ts'
import { within } from './deadline.ts'
import type { Waiting } from './lane.ts'
import { Producer, type ProducerOptions } from './producer.ts'
import { encodedBytesMax } from './record-batch.ts'

export interface AppenderOptions extends ProducerOptions {
  readonly appendMsMax: number
}

/** Handed in and not settled; beyond it an append is refused at once. */
const OUTSTANDING_BYTES_MAX = 64 * 2 ** 20
const CLOSE_MS_MAX = 2_000

export class Appender {
  readonly #options: AppenderOptions
  readonly #producer: Producer
  #outstandingBytes = 0
  #closed = false
  #idle: PromiseWithResolvers<void> | null = null

  constructor(options: AppenderOptions) {
    this.#options = options
    this.#producer = new Producer(options)
  }

  /** @throws LOG_UNAVAILABLE (unknown), LOG_TOPIC_REPLACED, LOG_REFUSED */
  async append(records: readonly AppendRecord[]): Promise<readonly LogPosition[]> {
    const { cluster, appendMsMax, clock } = this.#options
    const places = placesOf(records)
    for (const at of places.values())
      if (!cluster.knows(at)) await within(appendMsMax, clock, cluster.topicOf(at))
    this.#requireRoom(records)
    const waiting = records.map((record) => this.#enter(record, places))
    this.#producer.pump()
    const positions = Promise.all(waiting.map(({ position }) => position.promise))
    try {
      return await within(appendMsMax, clock, positions)
    } catch (error) {
      this.#producer.takeBack(new Set(waiting))
      throw error
    }
  }

  /** Gives what is on its way a moment; then every append still waiting is told "unknown". */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#outstandingBytes > 0) {
      this.#idle = Promise.withResolvers<void>()
      // A moment that was too short shows in the rejections below.
      await within(CLOSE_MS_MAX, this.#options.clock, this.#idle.promise).catch(() => undefined)
    }
    this.#producer.rejectAll(new HooktrailError('LOG_UNAVAILABLE', { reason: 'the log was closed' }))
  }

  #requireRoom(records: readonly AppendRecord[]): void {
    const bytes = records.reduce((sum, record) => sum + encodedBytesMax(record), 0)
    if (this.#closed) throw new HooktrailError('LOG_UNAVAILABLE', { reason: 'the log was closed' })
    if (this.#outstandingBytes + bytes > OUTSTANDING_BYTES_MAX)
      throw new HooktrailError('LOG_UNAVAILABLE', { reason: 'too much is outstanding' })
  }

  #enter(record: AppendRecord, places: ReadonlyMap<string, TopicPartition>): Waiting {
    const at = places.get(placeName(record))
    assert.ok(at !== undefined)
    const bytes = encodedBytesMax(record)
    const position = Promise.withResolvers<LogPosition>()
    this.#outstandingBytes += bytes
    const settle = (): void => {
      this.#outstandingBytes -= bytes
      if (this.#outstandingBytes === 0) this.#idle?.resolve()
    }
    // Also marks the rejections of all records but the first, which alone its append is told, as seen.
    position.promise.then(settle, settle)
    const waiting = { record, bytes, position }
    this.#producer.enter(at, waiting)
    return waiting
  }
}

function placesOf(records: readonly AppendRecord[]): ReadonlyMap<string, TopicPartition> {
  const places = new Map<string, TopicPartition>()
  for (const record of records) {
    const name = placeName(record)
    if (!places.has(name))
      places.set(name, { topic: record.topic.name, topicId: record.topic.id, partition: record.partition })
  }
  return places
}

function placeName({ topic, partition }: AppendRecord): string {
  return `${topic.id}/${partition}`
}
