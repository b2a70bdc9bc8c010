/** What is no record in a Kafka log, and that each such offset is told with its reason. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EventLog, LogRecord, OffsetGap, ReadResult, Topic } from '../../core/ports/event-log.ts'
import { beginTransaction, untilStable, writeCompacted } from '../support/kafka-gaps.ts'
import type { KafkaLogStage } from '../support/kafka-log.ts'
import { createTopic, of, request, textRecord } from './event-log.ts'

type Start = () => Promise<KafkaLogStage>

export function exerciseKafkaTransactions(start: Start): void {
  describe('event log on Kafka with gaps', () => {
    test('transactions: committed records are read, aborted and control records are gaps', () =>
      transactions(start))
    test('an open transaction holds readers back, and what it aborted long ago stays excluded', () =>
      longTransaction(start))
    test('offsets that compaction removed are gaps', () => compaction(start))
  })
}

async function transactions(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const topic = await createTopic(log, `${stage.topicPrefix}.mixed`)
  await using a = await beginTransaction(stage, 'a')
  await using b = await beginTransaction(stage, 'b')
  await log.append([textRecord(topic, 0, 'p0')])
  await a.send(topic, ['a1', 'a2'])
  await b.send(topic, ['b1'])
  await log.append([textRecord(topic, 0, 'p1')])
  await a.transaction.abort()
  await untilStable(log, topic, 3n)
  await b.transaction.commit()
  await untilStable(log, topic, 7n)
  await log.append([textRecord(topic, 0, 'p2')])
  await untilStable(log, topic, 8n)
  const records = [
    ...[
      { offset: 0n, value: 'p0' },
      { offset: 3n, value: 'b1' },
    ],
    ...[
      { offset: 4n, value: 'p1' },
      { offset: 7n, value: 'p2' },
    ],
  ]
  const gaps: OffsetGap[] = [
    { from: 1n, to: 2n, reason: 'aborted' },
    { from: 5n, to: 6n, reason: 'control' },
  ]
  // From every offset on, and in pages of every size: what lies behind the start must not change what follows.
  for (let from = 0n; from <= 8n; from++)
    for (const recordsMax of [1, 2, 100]) {
      const read = await readOn(log, topic, { from, recordsMax, until: 8n })
      assert.deepEqual(
        read.records.map(({ offset, value }) => ({ offset, value: String(value) })),
        records.filter(({ offset }) => offset >= from),
      )
      assert.deepEqual(
        read.gaps,
        gaps
          .filter(({ to }) => to >= from)
          .map((gap) => ({ ...gap, from: gap.from > from ? gap.from : from })),
      )
    }
}

async function longTransaction(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const topic = await createTopic(log, `${stage.topicPrefix}.long`)
  await using open = await beginTransaction(stage, 'open')
  await open.send(topic, ['x0'])
  const values = Array.from({ length: 40 }, (_, n) => `p${n}`)
  for (const value of values) {
    await log.append([textRecord(topic, 0, value)])
    await open.send(topic, [`x-${value}`])
  }
  assert.deepEqual(await log.bounds(of(topic, 0)), { logStart: 0n, highWatermark: 0n })
  const held = await log.read(request(topic, 0))
  assert.deepEqual([held.records, held.next, held.highWatermark], [[], 0n, 0n])
  await open.transaction.abort()
  await untilStable(log, topic, 82n)
  const read = await readOn(log, topic, { from: 0n, recordsMax: 3, until: 82n })
  assert.deepEqual(
    read.records.map(({ value }) => String(value)),
    values,
  )
  assert.equal(read.gaps.filter(({ reason }) => reason === 'aborted').length, 41)
  assert.deepEqual(read.gaps.at(-1), { from: 81n, to: 81n, reason: 'control' })
}

/** Such a topic is refused for our own use; a reader must tell the truth about it all the same. */
async function compaction(start: Start): Promise<void> {
  await using stage = await start()
  const log = await stage.open()
  const topic = await writeCompacted(stage, log)
  const read = await log.read(request(topic, 0))
  assert.ok(read.gaps.every(({ reason }) => reason === 'compacted'))
  assert.deepEqual(read.gaps[0]?.from, 0n)
  assert.ok(read.records.some(({ offset, value }) => offset === 1n && String(value) === 'kept'))
  assertAccounted(read, 0n)
}

async function readOn(
  log: EventLog,
  topic: Topic,
  { from, recordsMax, until }: { from: bigint; recordsMax: number; until: bigint },
): Promise<{ records: readonly LogRecord[]; gaps: readonly OffsetGap[] }> {
  const pages: ReadResult[] = []
  for (let next = from; next < until;) {
    const page = await log.read(request(topic, 0, { from: next, recordsMax }))
    assertAccounted(page, next)
    assert.ok(page.next > next && page.records.length <= recordsMax)
    pages.push(page)
    next = page.next
  }
  return { records: pages.flatMap(({ records }) => records), gaps: joined(pages.flatMap(({ gaps }) => gaps)) }
}

/** Every offset from `from` to `next` is a record or lies in one gap. */
function assertAccounted({ records, gaps, next }: ReadResult, from: bigint): void {
  const covered = [...records.map(({ offset }) => ({ from: offset, to: offset })), ...gaps].sort((a, b) =>
    a.from < b.from ? -1 : 1,
  )
  let expected = from
  for (const range of covered) {
    assert.equal(range.from, expected)
    expected = range.to + 1n
  }
  assert.equal(next, expected)
}

/** Gaps that a page's end cut in two. */
function joined(gaps: readonly OffsetGap[]): readonly OffsetGap[] {
  const whole: OffsetGap[] = []
  for (const gap of gaps) {
    const before = whole.at(-1)
    if (before?.reason === gap.reason && before.to + 1n === gap.from)
      whole.splice(-1, 1, { ...before, to: gap.to })
    else whole.push(gap)
  }
  return whole
}
