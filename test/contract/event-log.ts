/**
 * What every EventLog must do, whatever it stands on. An adapter's test file hands in how its logs are opened: each
 * `open` is another process's view of the same log.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type {
  AppendRecord,
  EventLog,
  LogRecord,
  ReadRequest,
  Topic,
  TopicPartition,
} from '../../core/ports/event-log.ts'
import { scale } from '../support/scale.ts'

export interface LogUnderTest extends AsyncDisposable {
  readonly topicPrefix: string
  open(): Promise<EventLog>
  deleteTopic(name: string): Promise<void>
}

export function of(topic: Topic, partition: number): TopicPartition {
  return { topic: topic.name, topicId: topic.id, partition }
}

export function textRecord(topic: Topic, partition: number, value: string): AppendRecord {
  return { topic, partition, key: Buffer.from(`key-${value}`), value: Buffer.from(value), headers: [] }
}

export async function createTopic(log: EventLog, name: string, partitions = 1): Promise<Topic> {
  const [topic] = await log.ensureTopics([{ name, partitions }])
  assert.ok(topic !== undefined)
  return topic
}

export function request(topic: Topic, partition: number, more: Partial<ReadRequest> = {}): ReadRequest {
  return { ...of(topic, partition), from: 0n, recordsMax: 1_000, bytesMax: 8_000_000, waitMsMax: 0, ...more }
}

/** Everything in a partition, page by page; asserts on the way that no offset is missing. */
export async function readAll(log: EventLog, topic: Topic, partition: number): Promise<readonly LogRecord[]> {
  const records: LogRecord[] = []
  let { logStart: from } = await log.bounds(of(topic, partition))
  for (;;) {
    const result = await log.read(request(topic, partition, { from }))
    assert.deepEqual(result.gaps, [])
    for (const record of result.records) assert.equal(record.offset, from++)
    assert.equal(result.next, from)
    if (from === result.highWatermark) return [...records, ...result.records]
    records.push(...result.records)
  }
}

export function hasCode(code: Parameters<typeof isHooktrailError>[1]): (error: unknown) => boolean {
  return (error) => isHooktrailError(error, code)
}

export function exerciseEventLog(name: string, start: () => Promise<LogUnderTest>): void {
  describe(`event log on ${name}`, () => {
    test('a record comes back with the same bytes, nulls and headers in order', () => roundTrip(start))
    test('several appenders over two processes give contiguous offsets, each record once, order kept', () =>
      concurrentAppends(start))
    test('a reader that waits is woken by an append of another process', () => longPoll(start))
    test('an aborted or timed out read resolves with nothing', () => emptyReads(start))
    test('a read stays within its byte bound, and a larger record comes alone', () => byteBound(start))
    test('an offset outside the log is refused with the bounds', () => outOfRange(start))
    test('a topic that was deleted and created again is another topic', () => replacedTopic(start))
    test('the log start moves forward only', () => logStartMoves(start))
    test('the first offset at a time is found', () => offsetsByTime(start))
    test('topics are created once, grow and never shrink', () => topicsGrow(start))
  })
}

type Start = () => Promise<LogUnderTest>

async function roundTrip(start: Start): Promise<void> {
  await using under = await start()
  const log = await under.open()
  const topic = await createTopic(log, `${under.topicPrefix}.bytes`)
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
  const given: Omit<AppendRecord, 'topic' | 'partition'>[] = [
    {
      key: every,
      value: every,
      headers: [
        { name: 'ä', value: every },
        { name: 'ä', value: null },
      ],
    },
    { key: null, value: null, headers: [] },
    { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [{ name: '', value: Buffer.alloc(0) }] },
    {
      key: null,
      value: Buffer.alloc(300_000, 7),
      headers: Array.from({ length: 500 }, (_, n) => ({ name: `h${n}`, value: null })),
    },
  ]
  const positions = await log.append(given.map((record) => ({ topic, partition: 0, ...record })))
  assert.deepEqual(
    positions.map(({ offset }) => offset),
    [0n, 1n, 2n, 3n],
  )
  const records = await readAll(log, topic, 0)
  assert.deepEqual(
    records.map(({ key, value, headers }) => ({ key, value, headers })),
    given,
  )
  assert.deepEqual(
    records.map(({ timestampMs }) => timestampMs),
    positions.map(({ timestampMs }) => timestampMs),
  )
  const usage = await log.diskUsage()
  assert.ok(usage.usedBytes > 300_000n)
}

async function concurrentAppends(start: Start): Promise<void> {
  await using under = await start()
  const logs = [await under.open(), await under.open()] as const
  const topic = await createTopic(logs[0], `${under.topicPrefix}.many`, 2)
  await Promise.all(
    [0, 1, 2, 3].map(async (appender) => {
      const log = appender < 2 ? logs[0] : logs[1]
      for (let batch = 0; batch < scale.logBatches; batch++) {
        const records = [0, 1, 2, 3, 4].map((n) =>
          textRecord(topic, (n + appender) % 2, `${appender}/${batch * 5 + n}`),
        )
        const positions = await log.append(records)
        records.forEach(({ partition }, index) => {
          assert.equal(positions[index]?.partition, partition)
        })
      }
    }),
  )
  const seen: string[] = []
  for (const [partition, log] of logs.entries()) {
    const records = await readAll(log, topic, partition)
    const lastOf = new Map<string, number>()
    records.forEach(({ value, timestampMs }, index) => {
      assert.ok(timestampMs >= (records[index - 1]?.timestampMs ?? 0n), 'timestamps never decrease')
      const [appender = '', number = ''] = String(value).split('/')
      assert.ok(Number(number) > (lastOf.get(appender) ?? -1), 'order of an appender is kept')
      lastOf.set(appender, Number(number))
      seen.push(String(value))
    })
  }
  assert.equal(seen.length, 4 * 5 * scale.logBatches)
  assert.equal(new Set(seen).size, seen.length)
}

async function longPoll(start: Start): Promise<void> {
  await using under = await start()
  const [writer, reader] = [await under.open(), await under.open()]
  const topic = await createTopic(writer, `${under.topicPrefix}.poll`)
  for (let offset = 0n; offset < 5n; offset++) {
    const read = reader.read(request(topic, 0, { from: offset, waitMsMax: 20_000 }))
    await writer.append([textRecord(topic, 0, `${offset}`)])
    const { records, next } = await read
    assert.equal(next, offset + 1n)
    assert.equal(String(records[0]?.value), `${offset}`)
  }
}

async function emptyReads(start: Start): Promise<void> {
  await using under = await start()
  const log = await under.open()
  const topic = await createTopic(log, `${under.topicPrefix}.empty`)
  const { leaderEpochs = [], ...atOnce } = await log.read(request(topic, 0))
  assert.deepEqual(leaderEpochs, [])
  assert.deepEqual(atOnce, { tier: 'log', records: [], gaps: [], next: 0n, logStart: 0n, highWatermark: 0n })
  assert.equal((await log.read(request(topic, 0, { waitMsMax: 20 }))).next, 0n)
  const abort = new AbortController()
  const read = log.read(request(topic, 0, { waitMsMax: 60_000, signal: abort.signal }))
  abort.abort()
  assert.equal((await read).next, 0n)
}

async function byteBound(start: Start): Promise<void> {
  await using under = await start()
  const log = await under.open()
  const topic = await createTopic(log, `${under.topicPrefix}.large`)
  const sizes = [400_000, 10, 10, 400_000, 10]
  await log.append(
    sizes.map((size) => ({ topic, partition: 0, key: null, value: Buffer.alloc(size), headers: [] })),
  )
  const pages: number[] = []
  for (let from = 0n; from < 5n;) {
    const { records, next } = await log.read(request(topic, 0, { from, bytesMax: 1_000 }))
    pages.push(records.length)
    from = next
  }
  assert.equal(pages[0], 1)
  assert.ok(
    pages.every((length) => length <= 3),
    `pages of ${pages.join(', ')} records`,
  )
  assert.equal((await log.read(request(topic, 0, { recordsMax: 2 }))).records.length, 2)
}

async function outOfRange(start: Start): Promise<void> {
  await using under = await start()
  const log = await under.open()
  const topic = await createTopic(log, `${under.topicPrefix}.range`)
  await log.append(['a', 'b', 'c'].map((value) => textRecord(topic, 0, value)))
  await log.truncate(of(topic, 0), 2n)
  for (const from of [0n, 1n, 4n]) {
    await assert.rejects(log.read(request(topic, 0, { from, waitMsMax: 10_000 })), (error: unknown) => {
      assert.ok(isHooktrailError(error, 'LOG_OFFSET_OUT_OF_RANGE'))
      assert.deepEqual(error.details, { from, logStart: 2n, highWatermark: 3n })
      return true
    })
  }
  assert.equal((await log.read(request(topic, 0, { from: 2n }))).records.length, 1)
  assert.equal((await log.read(request(topic, 0, { from: 3n }))).records.length, 0)
}

async function replacedTopic(start: Start): Promise<void> {
  await using under = await start()
  const [log, other] = [await under.open(), await under.open()]
  const name = `${under.topicPrefix}.replaced`
  const before = await createTopic(log, name)
  await log.append([textRecord(before, 0, 'old')])
  await under.deleteTopic(name)
  const after = await createTopic(other, name)
  assert.notEqual(after.id, before.id)
  await assert.rejects(log.append([textRecord(before, 0, 'stale')]), hasCode('LOG_TOPIC_REPLACED'))
  await assert.rejects(log.read(request(before, 0)), hasCode('LOG_TOPIC_REPLACED'))
  await assert.rejects(log.bounds(of(before, 0)), hasCode('LOG_TOPIC_REPLACED'))
  await assert.rejects(log.truncate(of(before, 0), 1n), hasCode('LOG_TOPIC_REPLACED'))
  // One stale record refuses its whole batch on this side, and nothing of it is in the log.
  await assert.rejects(
    log.append([textRecord(after, 0, 'new'), textRecord(before, 0, 'stale')]),
    hasCode('LOG_TOPIC_REPLACED'),
  )
  assert.deepEqual(await readAll(log, after, 0), [])
}

async function logStartMoves(start: Start): Promise<void> {
  await using under = await start()
  const log = await under.open()
  const topic = await createTopic(log, `${under.topicPrefix}.start`)
  await log.append(['a', 'b', 'c', 'd'].map((value) => textRecord(topic, 0, value)))
  for (const [before, expected] of [
    [2n, 2n],
    [1n, 2n],
    [2n, 2n],
    [9n, 4n],
  ] as const) {
    await log.truncate(of(topic, 0), before)
    assert.deepEqual(await log.bounds(of(topic, 0)), { logStart: expected, highWatermark: 4n })
  }
  const [position] = await log.append([textRecord(topic, 0, 'e')])
  assert.equal(position?.offset, 4n)
}

async function offsetsByTime(start: Start): Promise<void> {
  await using under = await start()
  const log = await under.open()
  const topic = await createTopic(log, `${under.topicPrefix}.time`)
  for (let n = 0; n < 40; n++) await log.append([textRecord(topic, 0, `${n}`)])
  const records = await readAll(log, topic, 0)
  for (const wanted of [0n, ...records.map(({ timestampMs }) => timestampMs)]) {
    const expected = records.find(({ timestampMs }) => timestampMs >= wanted)?.offset
    assert.equal(await log.offsetAt(of(topic, 0), wanted), expected)
  }
  assert.equal(await log.offsetAt(of(topic, 0), (records.at(-1)?.timestampMs ?? 0n) + 1n), 40n)
}

async function topicsGrow(start: Start): Promise<void> {
  await using under = await start()
  const [log, other] = [await under.open(), await under.open()]
  const name = `${under.topicPrefix}.grow`
  const both = await Promise.all([createTopic(log, name, 2), createTopic(other, name, 2)])
  assert.deepEqual(both[0], both[1])
  assert.match(both[0].id, /^[0-9a-f]{32}$/)
  assert.equal((await createTopic(log, name, 3)).partitions, 3)
  assert.equal((await createTopic(log, name, 1)).partitions, 3)
  const grown = await createTopic(log, name, 1)
  assert.equal(grown.id, both[0].id)
  await log.append([textRecord(grown, 2, 'in the new partition')])
  await log.ensureTopics([{ name: `${under.topicPrefix}x.stranger`, partitions: 1 }])
  assert.deepEqual(
    (await log.topics()).map((topic) => topic.name),
    [name],
  )
}
