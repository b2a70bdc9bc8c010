/** Offsets without a record in a real Kafka log: transactions that are aborted or committed, and topics that are compacted. */
import assert from 'node:assert/strict'
import { Partitioners, type Transaction } from 'kafkajs'
import { systemClock } from '../../adapters/system/clock.ts'
import type { EventLog, Topic } from '../../core/ports/event-log.ts'
import type { KafkaLogStage } from './kafka-log.ts'

const COMPACTED_MS_MAX = 60_000

export interface OpenTransaction extends AsyncDisposable {
  readonly transaction: Transaction
  send(topic: Topic, values: readonly string[]): Promise<void>
}

export async function beginTransaction(stage: KafkaLogStage, name: string): Promise<OpenTransaction> {
  const producer = stage.kafkajs.producer({
    ...{ transactionalId: `${stage.topicPrefix}.${name}`, maxInFlightRequests: 1, idempotent: true },
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  const transaction = await producer.transaction()
  return {
    transaction,
    send: async (topic, values) => {
      await transaction.send({
        topic: topic.name,
        messages: values.map((value) => ({ partition: 0, value })),
      })
    },
    [Symbol.asyncDispose]: () => producer.disconnect(),
  }
}

/** A transaction's marker reaches the partition a little after its end was acknowledged. */
export async function untilStable(log: EventLog, topic: Topic, offset: bigint): Promise<void> {
  const giveUpAt = systemClock.monotonic() + 10_000
  while ((await log.bounds({ topic: topic.name, topicId: topic.id, partition: 0 })).highWatermark < offset) {
    assert.ok(systemClock.monotonic() < giveUpAt, `the log did not become stable up to ${offset}`)
    await systemClock.sleep(5, new AbortController().signal)
  }
}

/**
 * A topic of which compaction has taken an offset. Such a topic is refused for our own use; a reader must tell the truth
 * about it all the same. The broker's cleaner must run often (`log.cleaner.backoff.ms`).
 */
export async function writeCompacted(stage: KafkaLogStage, log: EventLog): Promise<Topic> {
  const name = `${stage.topicPrefix}.compacted`
  const settings = {
    ...{ 'cleanup.policy': 'compact', 'segment.ms': '50', 'min.cleanable.dirty.ratio': '0.01' },
    'max.compaction.lag.ms': '50',
  }
  const configEntries = Object.entries(settings).map(([key, value]) => ({ name: key, value }))
  await stage.admin.createTopics({ topics: [{ topic: name, configEntries }] })
  const topic = (await log.topics()).find((each) => each.name === name)
  assert.ok(topic !== undefined)
  const append = async (key: string, value: string): Promise<void> => {
    await log.append([{ topic, partition: 0, key: Buffer.from(key), value: Buffer.from(value), headers: [] }])
  }
  for (const [key, value] of [
    ['k', 'old'],
    ['other', 'kept'],
    ['k', 'older'],
  ] as const)
    await append(key, value)
  // A segment is rolled by the record after it, and cleaned once it is no longer the active one.
  const giveUpAt = systemClock.monotonic() + COMPACTED_MS_MAX
  for (;;) {
    await append('k', 'new')
    await systemClock.sleep(5, new AbortController().signal)
    const at = { topic: name, topicId: topic.id, partition: 0 }
    const read = await log.read({ ...at, from: 0n, recordsMax: 1000, bytesMax: 1 << 20, waitMsMax: 0 })
    if (read.gaps.length > 0 || systemClock.monotonic() > giveUpAt) return topic
  }
}
