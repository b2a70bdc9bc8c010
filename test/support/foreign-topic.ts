/** A topic of a test's Kafka that is none of hooktrail's: made by another client, and read to its end. */
import assert from 'node:assert/strict'
import type { Admin } from 'kafkajs'
import type { KafkaEventLog } from '../../adapters/kafka/event-log.ts'
import type { LogRecord, Topic } from '../../core/ports/event-log.ts'

const READ = { recordsMax: 500, bytesMax: 4_000_000, waitMsMax: 1_000 }

export type ForeignRecord = LogRecord & { readonly partition: number }

export async function makeForeignTopic(
  { admin, log }: { readonly admin: Admin; readonly log: KafkaEventLog },
  name: string,
  partitions: number,
): Promise<Topic> {
  await admin.createTopics({ topics: [{ topic: name, numPartitions: partitions }], waitForLeaders: true })
  let topic: Topic | null = null
  while (topic === null) topic = await log.foreignTopic(name)
  assert.equal(topic.partitions, partitions)
  return topic
}

/** In the order of its partitions. */
export async function recordsOf(
  log: KafkaEventLog,
  { name: topic, id: topicId, partitions }: Topic,
): Promise<readonly ForeignRecord[]> {
  const found: ForeignRecord[] = []
  for (let partition = 0; partition < partitions; partition++) {
    const at = { topic, topicId, partition }
    const { highWatermark } = await log.bounds(at)
    for (let from = 0n; from < highWatermark;) {
      const { records, next } = await log.read({ ...at, ...READ, from })
      found.push(...records.map((record) => ({ ...record, partition })))
      from = next
    }
  }
  return found
}

export function eventIdOf({ headers }: LogRecord): string {
  return String(headers.find(({ name }) => name === 'ce_id')?.value)
}
