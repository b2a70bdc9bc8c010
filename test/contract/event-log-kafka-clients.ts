/** What other clients read of the Kafka log and write to it, and that every version of Fetch gives the same. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { CompressionTypes, Partitioners, type KafkaMessage } from 'kafkajs'
import type { LogRecord } from '../../core/ports/event-log.ts'
import { partitionFor } from '../../core/record/partitioner.ts'
import type { KafkaLogStage } from '../support/kafka-log.ts'
import { createTopic, hasCode, readAll, request, textRecord } from './event-log.ts'

type Start = () => Promise<KafkaLogStage>

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const

export function exerciseKafkaClients(start: Start): void {
  describe('event log on Kafka beside other clients', () => {
    test('kafkajs reads the same key, bytes and headers', () => readByKafkajs(start))
    test('records that another client wrote come back as they are', () => foreignRecords(start))
    test('batches in every codec are read', () => codecs(start))
    test('Fetch by name and by id give the same records and gaps', () => fetchVersions(start))
    test('by name, too, the records of another topic are never taken', () => replacedByName(start))
    test('Produce by name takes the same records, and none for another topic of the name', () =>
      produceVersions(start))
    test('a key has the partition that kafkajs gives it', samePartitions)
    test('the offsets of a group show in Kafka’s own administration', () => groupOffsets(start))
  })
}

async function readByKafkajs(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const topic = await createTopic(log, `${stage.topicPrefix}.bytes`)
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  const headers = [
    { name: 'content-type', value: 'text/plain' },
    { name: 'raw', value: every },
  ]
  const [position] = await log.append([{ topic, partition: 0, key: every, value: every, headers }])
  const [message] = await consume(stage, topic.name, 1)
  assert.deepEqual(message?.key, every)
  assert.deepEqual(message.value, every)
  assert.deepEqual(message.headers, { 'content-type': Buffer.from('text/plain'), raw: every })
  assert.equal(message.offset, String(position?.offset))
  assert.equal(message.timestamp, String(position?.timestampMs))
}

async function consume(stage: KafkaLogStage, topic: string, count: number): Promise<readonly KafkaMessage[]> {
  const consumer = stage.kafkajs.consumer({ groupId: `${topic}.reader` })
  await consumer.connect()
  try {
    await consumer.subscribe({ topic, fromBeginning: true })
    const messages: KafkaMessage[] = []
    const { promise, resolve } = Promise.withResolvers<void>()
    await consumer.run({
      eachMessage: ({ message }) => {
        if (messages.push(message) === count) resolve()
        return Promise.resolve()
      },
    })
    await promise
    return messages
  } finally {
    await consumer.disconnect()
  }
}

async function foreignRecords(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const topic = await createTopic(log, `${stage.topicPrefix}.foreign`)
  const messages = [
    { value: 'plain' },
    { key: 'k', value: null },
    { key: Buffer.from([0, 255]), value: randomBytes(900 * 1024) },
    { value: Buffer.alloc(0), headers: { a: ['1', '2'], b: Buffer.from([254]) } },
  ]
  const producer = stage.kafkajs.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  for (const compression of [CompressionTypes.None, CompressionTypes.GZIP])
    for (const message of messages)
      await producer.send({ topic: topic.name, compression, messages: [{ partition: 0, ...message }] })
  await producer.disconnect()
  const header = (name: string, value: Buffer | string): object => ({ name, value: Buffer.from(value) })
  const expected = [
    { key: null, value: Buffer.from('plain'), headers: [] },
    { key: Buffer.from('k'), value: null, headers: [] },
    { key: messages[2]?.key, value: messages[2]?.value, headers: [] },
    {
      key: null,
      value: Buffer.alloc(0),
      headers: [header('a', '1'), header('a', '2'), header('b', Buffer.from([254]))],
    },
  ]
  assert.deepEqual((await readAll(log, topic, 0)).map(contentOf), [...expected, ...expected])
}

function contentOf({ key, value, headers }: LogRecord): object {
  return { key, value, headers }
}

/** The broker itself packs what a topic's `compression.type` asks for. */
async function codecs(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  for (const codec of CODECS) {
    const name = `${stage.topicPrefix}.${codec}`
    const configEntries = [{ name: 'compression.type', value: codec }]
    await stage.admin.createTopics({ topics: [{ topic: name, configEntries }] })
    const [topic] = (await log.topics()).filter((each) => each.name === name)
    assert.ok(topic !== undefined)
    const values = [Buffer.alloc(200_000, 'event'), randomBytes(100_000), Buffer.alloc(0), Buffer.from('{}')]
    await log.append(
      values.map((value) => ({
        topic,
        partition: 0,
        key: null,
        value,
        headers: [{ name: 'n', value: 'v' }],
      })),
    )
    const records = await readAll(log, topic, 0)
    assert.deepEqual(
      records.map(({ value }) => value),
      values,
      codec,
    )
  }
}

async function fetchVersions(start: Start): Promise<void> {
  await using stage = await start()
  const logs = [await stage.open({ fetchVersionMax: 11 }), await stage.open({ fetchVersionMax: 12 })]
  const newest = await stage.open()
  const topic = await createTopic(newest, `${stage.topicPrefix}.versions`)
  const producer = stage.kafkajs.producer({
    ...{ transactionalId: stage.topicPrefix, maxInFlightRequests: 1, idempotent: true },
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  const transaction = await producer.transaction()
  await transaction.send({ topic: topic.name, messages: [{ value: 'given up' }] })
  await newest.append(['a', 'b', 'c'].map((value) => textRecord(topic, 0, value)))
  await transaction.abort()
  await producer.disconnect()
  const wanted = await newest.read(request(topic, 0, { waitMsMax: 5_000 }))
  assert.deepEqual(
    wanted.records.map(({ value }) => String(value)),
    ['a', 'b', 'c'],
  )
  for (const log of logs)
    for (const from of [0n, 1n, 2n, wanted.next]) {
      const read = request(topic, 0, { from })
      assert.deepEqual(await log.read(read), await newest.read(read))
    }
}

async function replacedByName(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open({ fetchVersionMax: 12 })
  const other = await stage.open()
  const before = await createTopic(log, `${stage.topicPrefix}.byname`)
  await log.append([textRecord(before, 0, 'old')])
  assert.equal((await log.read(request(before, 0))).records.length, 1)
  await stage.deleteTopic(before.name)
  await other.append([textRecord(await createTopic(other, before.name), 0, 'new')])
  await assert.rejects(log.read(request(before, 0)), hasCode('LOG_TOPIC_REPLACED'))
}

async function produceVersions(start: Start): Promise<void> {
  await using stage = await start()
  const newest = await stage.open()
  const topic = await createTopic(newest, `${stage.topicPrefix}.produce`, 2)
  const logs = [await stage.open({ produceVersionMax: 7 }), await stage.open({ produceVersionMax: 9 })]
  const byName = await stage.open({ produceVersionMax: 12 })
  for (const log of [...logs, byName]) {
    const positions = await log.append([0, 1, 0].map((partition) => textRecord(topic, partition, 'same')))
    for (const { partition, offset, timestampMs } of positions) {
      const { records } = await newest.read(request(topic, partition, { from: offset }))
      assert.deepEqual([records[0]?.timestampMs, String(records[0]?.value)], [timestampMs, 'same'])
    }
  }
  assert.deepEqual(
    (await newest.bounds({ topic: topic.name, topicId: topic.id, partition: 0 })).highWatermark,
    6n,
  )
  await stage.deleteTopic(topic.name)
  await createTopic(newest, topic.name, 2)
  await assert.rejects(byName.append([textRecord(topic, 0, 'stale')]), hasCode('LOG_TOPIC_REPLACED'))
}

function samePartitions(): void {
  const partitionMetadata = Array.from({ length: 7 }, (_, partitionId) => ({
    ...{ partitionId, partitionErrorCode: 0, leader: 1, isr: [1], replicas: [1] },
  }))
  const partitioner = Partitioners.DefaultPartitioner()
  for (let length = 0; length < 200; length++) {
    const key = randomBytes(length)
    const message = { key, value: null }
    assert.equal(
      partitioner({ topic: 't', partitionMetadata, message }),
      partitionFor(key, 7),
      key.toString('hex'),
    )
  }
}

async function groupOffsets(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const { name } = await createTopic(log, `${stage.topicPrefix}.groups`, 2)
  const groupId = `${stage.topicPrefix}.crm`
  for (const offset of [7n, 9n])
    await log.commitGroupOffsets(groupId, [
      { topic: name, partition: 0, offset },
      { topic: name, partition: 1, offset: 0n },
    ])
  const [offsets] = await stage.admin.fetchOffsets({ groupId, topics: [name] })
  assert.deepEqual(offsets?.partitions.map(({ partition, offset }) => [partition, offset]).sort(), [
    [0, '9'],
    [1, '0'],
  ])
}
