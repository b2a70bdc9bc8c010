/** Topics of the Kafka log: what is refused with which reasons, and who made a topic. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AppendRecord } from '../../core/ports/event-log.ts'
import { RECORD_BYTES_MAX, type KafkaLogStage } from '../support/kafka-log.ts'
import { createTopic, readAll, textRecord } from './event-log.ts'

type Start = () => Promise<KafkaLogStage>

export function exerciseKafkaTopics(start: Start): void {
  describe('topics of the event log on Kafka', () => {
    test('a topic with unfit settings is refused with every reason at once', () => unfitTopic(start))
    test('more replicas than there are brokers are refused with the broker’s words', () =>
      tooManyReplicas(start))
    test('a topic that somebody prepared as it should be is taken, and is not ours', () =>
      preparedTopic(start))
    test('every process knows that a topic is ours', () => ourTopic(start))
    test('many partitions take records in one append', () => manyPartitions(start))
    test('a record that the broker refuses is told, and the next one is taken', () => refusedRecord(start))
    test('the usage of the disks comes with their capacity', () => disks(start))
  })
}

async function unfitTopic(start: Start): Promise<void> {
  await using stage = await start()
  const name = `${stage.topicPrefix}.unfit`
  const configEntries = [
    { name: 'cleanup.policy', value: 'compact,delete' },
    { name: 'max.message.bytes', value: '70000' },
    { name: 'retention.bytes', value: '1000000' },
  ]
  await stage.admin.createTopics({ topics: [{ topic: name, configEntries }] })
  const log = await stage.open({ replication: 3 })
  await assert.rejects(log.ensureTopics([{ name, partitions: 1 }]), (error: unknown) => {
    assert.ok(isHooktrailError(error, 'LOG_TOPIC_SETTINGS'))
    const { faults } = error.details
    assert.ok(Array.isArray(faults))
    assert.deepEqual(
      faults.map((fault: { topic: string; setting: string; value: string }) => [
        ...[fault.topic === name, fault.setting, fault.value],
      ]),
      [
        [true, 'replication', '1'],
        [true, 'cleanup.policy', 'compact,delete'],
        [true, 'retention.ms', '604800000'],
        [true, 'retention.bytes', '1000000'],
        [true, 'message.timestamp.type', 'CreateTime'],
        [true, 'max.message.bytes', '70000'],
      ],
    )
    return true
  })
}

async function tooManyReplicas(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open({ replication: 30 })
  const name = `${stage.topicPrefix}.replicas`
  await assert.rejects(log.ensureTopics([{ name, partitions: 1 }]), (error: unknown) => {
    assert.ok(isHooktrailError(error, 'LOG_TOPIC_SETTINGS'))
    assert.deepEqual([error.details['topic'], error.details['reason']], [name, 'INVALID_REPLICATION_FACTOR'])
    assert.match(String(error.details['said']), /replication factor/i)
    return true
  })
  assert.deepEqual(await log.topics(), [])
}

async function preparedTopic(start: Start): Promise<void> {
  await using stage = await start()
  const name = `${stage.topicPrefix}.prepared`
  const configEntries = [
    { name: 'retention.ms', value: '-1' },
    { name: 'message.timestamp.type', value: 'LogAppendTime' },
  ]
  await stage.admin.createTopics({ topics: [{ topic: name, numPartitions: 2, configEntries }] })
  const log = await stage.open()
  const [topic] = await log.ensureTopics([{ name, partitions: 1 }])
  assert.deepEqual([topic?.partitions, topic?.createdByUs], [2, false])
  assert.deepEqual(await log.topics(), [topic])
}

async function ourTopic(start: Start): Promise<void> {
  await using stage = await start()
  const topic = await createTopic(await stage.open(), `${stage.topicPrefix}.ours`)
  assert.equal(topic.createdByUs, true)
  const other = await stage.open()
  assert.deepEqual(await other.topics(), [topic])
  assert.deepEqual(await other.ensureTopics([{ name: topic.name, partitions: 1 }]), [topic])
}

async function manyPartitions(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const topics = [
    await createTopic(log, `${stage.topicPrefix}.one`, 12),
    await createTopic(log, `${stage.topicPrefix}.two`, 12),
  ]
  const records = topics.flatMap((topic) =>
    Array.from({ length: 240 }, (_, n) => textRecord(topic, n % 12, `${topic.name}/${n}`)),
  )
  const positions = await log.append(records)
  for (const topic of topics)
    for (let partition = 0; partition < topic.partitions; partition++) {
      const expected = records.flatMap((record, index) =>
        record.topic === topic && record.partition === partition
          ? [
              {
                value: String(record.value),
                at: positions[index]?.offset,
                time: positions[index]?.timestampMs,
              },
            ]
          : [],
      )
      assert.deepEqual(
        (await readAll(log, topic, partition)).map(({ value, offset, timestampMs }) => ({
          ...{ value: String(value), at: offset, time: timestampMs },
        })),
        expected,
      )
    }
}

async function refusedRecord(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const topic = await createTopic(log, `${stage.topicPrefix}.large`)
  const record = (size: number): AppendRecord => ({
    ...{ topic, partition: 0, key: null, value: Buffer.alloc(size), headers: [] },
  })
  await log.append([record(1)])
  await assert.rejects(log.append([record(2_000_000)]), (error: unknown) => {
    assert.ok(isHooktrailError(error, 'LOG_UNAVAILABLE'))
    return error.details['reason'] === 'MESSAGE_TOO_LARGE'
  })
  const [position] = await log.append([record(RECORD_BYTES_MAX - 100)])
  assert.equal(position?.offset, 1n)
}

async function disks(start: Start): Promise<void> {
  await using stage = await start()
  const { usedBytes, capacityBytes } = await (await stage.open()).diskUsage()
  assert.ok(usedBytes > 0n && capacityBytes !== null && capacityBytes > usedBytes)
}
