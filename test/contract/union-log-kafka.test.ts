/** Log and archive as one on the full size: a real Kafka, and a bucket. Also what only Kafka has: offsets without a record. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { Partitioners } from 'kafkajs'
import { openS3ForReading, type S3Store } from '../../adapters/s3/s3-store.ts'
import { openKafkaStage, type KafkaLogStage } from '../support/kafka-log.ts'
import { openS3Stage, type S3Stage } from '../support/s3-stage.ts'
import { kafkaOrReason } from '../support/services/kafka.ts'
import { startOrReason, type KillableS3 } from '../support/services/s3-service.ts'
import { startVersitygw } from '../support/services/versitygw.ts'
import { eventually } from '../support/installation.ts'
import { EVERYTHING, openUnionStage, type ArchivePlace } from '../support/union-stage.ts'
import { exerciseUnionLog, type UnionPlace } from './union-log.ts'

const s3 = await startOrReason(startVersitygw)
const kafka = typeof s3 === 'string' ? s3 : await kafkaOrReason()

if (typeof s3 === 'string') test('log and archive as one on Kafka and a bucket', { skip: s3 })
else if (typeof kafka === 'string') test('log and archive as one on Kafka and a bucket', { skip: kafka })
else {
  const opened = new AsyncDisposableStack()
  opened.use(s3)
  opened.use(kafka)
  after(() => opened.disposeAsync())

  exerciseUnionLog('Kafka and a bucket', () => openPlace(s3, kafka.brokers))

  test('Kafka and a bucket: aborted and control offsets are the same gaps from the archive as from the log', async () => {
    await using place = await openPlace(s3, kafka.brokers)
    await using stage = await openUnionStage(place.log, place.archive)
    const [topic] = await place.log.ensureTopics([{ name: `${place.topicPrefix}.mixed`, partitions: 1 }])
    assert(topic !== undefined)
    const at = { topic: topic.name, topicId: topic.id, partition: 0 }
    for (const ending of ['abort', 'commit'] as const) await send(place.kafka, topic.name, ending)
    // A commit is answered before its last marker can be read.
    const logged = await eventually('the second marker can be read', 10_000, async () => {
      const read = await place.log.read({ ...at, from: 0n, ...EVERYTHING })
      return read.next === 4n ? read : null
    })
    // The abort is answered before its marker is written, too: the next record may come before it.
    const reasons = logged.gaps.flatMap(({ from, to, reason }) =>
      Array.from({ length: Number(to - from) + 1 }, () => reason),
    )
    assert.deepEqual(reasons, ['aborted', 'control', 'control'])
    await stage.archive(at)
    await place.log.truncate(at, logged.next)
    const archived = await stage.readAll(at, 0n)
    assert.deepEqual(
      archived.flatMap(({ records }) => records),
      logged.records,
    )
    assert.deepEqual(
      archived.flatMap(({ gaps }) => gaps),
      logged.gaps,
    )
  })
}

async function openPlace(
  service: KillableS3,
  brokers: readonly string[],
): Promise<UnionPlace & { readonly kafka: KafkaLogStage }> {
  await using undo = new AsyncDisposableStack()
  const stage = undo.use(await openKafkaStage(brokers))
  const log = await stage.open()
  const bucket = undo.use(await openS3Stage(service))
  const archive = placeIn(bucket, service)
  const kept = undo.move()
  return {
    ...{ log, topicPrefix: stage.topicPrefix, kafka: stage, archive, awayCode: 'ARCHIVE_STORE_UNAVAILABLE' },
    deleteTopic: (name) => stage.deleteTopic(name),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function placeIn(stage: S3Stage, service: KillableS3): ArchivePlace {
  const { client } = stage
  const options = stage.optionsOf()
  const store = stage.open(options)
  const readers: S3Store[] = []
  return {
    store,
    open: async () => {
      const reader = readers[0] ?? (await openS3ForReading({ ...options, requestTimeoutMs: 2_000 }))
      if (readers.length === 0) readers.push(reader)
      return reader
    },
    takeAway: () => service.kill('SIGKILL'),
    putBack: () => service.restart(),
    tamper: async (key, change) => {
      const where = stage.at(store, key)
      const original = await store.read(key, 1 << 24)
      const { VersionId } =
        change === null
          ? await client.send(new DeleteObjectCommand(where))
          : await client.send(new PutObjectCommand({ ...where, Body: change(original ?? Buffer.alloc(0)) }))
      return async () => {
        await client.send(new DeleteObjectCommand({ ...where, VersionId }))
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const reader of readers) await reader[Symbol.asyncDispose]()
    },
  }
}

async function send({ kafkajs }: KafkaLogStage, topic: string, ending: 'abort' | 'commit'): Promise<void> {
  const producer = kafkajs.producer({
    ...{ transactionalId: `${topic}-${ending}`, maxInFlightRequests: 1, idempotent: true },
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  const transaction = await producer.transaction()
  await transaction.send({ topic, messages: [{ key: ending, value: ending, partition: 0 }] })
  await transaction[ending]()
  await producer.disconnect()
}
