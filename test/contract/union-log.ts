/**
 * Log and archive read as one, on any log and any archive: the same bytes on both sides of the seam, every offset a
 * record or a gap with its reason, and nothing that was changed is ever handed out.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { ErrorCode } from '../../core/error/catalogue.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AppendRecord, EventLog, LogRecord, Topic, TopicPartition } from '../../core/ports/event-log.ts'
import {
  EVERYTHING,
  openUnionStage,
  SEGMENT_RECORDS,
  type ArchivePlace,
  type UnionStage,
} from '../support/union-stage.ts'

export interface UnionPlace extends AsyncDisposable {
  readonly log: EventLog
  readonly topicPrefix: string
  deleteTopic(name: string): Promise<void>
  readonly archive: ArchivePlace
  /** What a read that needs the archive throws while it is away. */
  readonly awayCode: ErrorCode
}

export function exerciseUnionLog(name: string, open: () => Promise<UnionPlace>): void {
  let place: UnionPlace
  let stage: UnionStage
  const opened = new AsyncDisposableStack()

  before(async () => {
    place = opened.use(await open())
    stage = opened.use(await openUnionStage(place.log, place.archive))
  })
  after(() => opened.disposeAsync())

  const newTopic = async (suffix: string): Promise<Topic> => {
    const topicName = `${place.topicPrefix}.${suffix}`
    const [topic] = await place.log.ensureTopics([{ name: topicName, partitions: 1 }])
    assert(topic !== undefined)
    return topic
  }
  const append = async (topic: Topic, count: number): Promise<void> => {
    await place.log.append(Array.from({ length: count }, (_, n) => oddRecord(topic, n)))
  }
  const logged = async (at: TopicPartition): Promise<readonly LogRecord[]> =>
    (await place.log.read({ ...at, from: 0n, ...EVERYTHING })).records
  /** `count` records in the archive, and the log cut at `cutAt`. */
  const cutTopic = async (suffix: string, count: number, cutAt: bigint) => {
    const topic = await newTopic(suffix)
    const at = placeOf(topic)
    await append(topic, count)
    const records = await logged(at)
    assert.equal(records.length, count)
    await stage.archive(at)
    await place.log.truncate(at, cutAt)
    return { topic, at, records }
  }

  test(`${name}: from every offset the same bytes come as before the cut, and a read ends where its segment does`, async () => {
    const { at, records } = await cutTopic('seam', 3 * SEGMENT_RECORDS + 4, 17n)
    for (let from = 0n; from < 34n; from++) {
      const results = await stage.readAll(at, from)
      assert.deepEqual(
        results.flatMap((result) => result.records),
        records.slice(Number(from)),
        `from ${from}`,
      )
      assert.deepEqual(
        results.map(({ tier }) => tier),
        from < 10n ? ['archive', 'archive', 'log'] : from < 17n ? ['archive', 'log'] : ['log'],
      )
      assert(results.every(({ logStart, highWatermark }) => logStart === 17n && highWatermark === 34n))
      if (from < 17n) assert.equal(results[0]?.next, from < 10n ? 10n : 20n)
    }
  })

  test(`${name}: bounds on records and bytes hold in the archive as in the log, and one record always comes`, async () => {
    const { at, records } = await cutTopic('bounds', 12, 12n)
    const read = async (more: { recordsMax?: number; bytesMax?: number }, from = 2n) =>
      (await stage.union.read({ ...at, from, ...EVERYTHING, ...more })).records
    assert.deepEqual(await read({ recordsMax: 3 }), records.slice(2, 5))
    assert.deepEqual(await read({ bytesMax: 1 }), records.slice(2, 3))
    const two = (records[2]?.value?.length ?? 0) + (records[3]?.value?.length ?? 0)
    const some = await read({ bytesMax: two })
    assert(some.length >= 1 && some.length < 8)
    assert.deepEqual(some, records.slice(2, 2 + some.length))
    assert.deepEqual(await read({}, 11n), records.slice(11))
  })

  test(`${name}: what the log lost before it was archived is a gap with its signed reason`, async () => {
    const topic = await newTopic('loss')
    const at = placeOf(topic)
    await append(topic, 10)
    const records = await logged(at)
    await stage.archive(at)
    await append(topic, 10)
    await place.log.truncate(at, 15n)
    await stage.archive(at)
    await append(topic, 3)
    await place.log.truncate(at, 20n)
    const results = await stage.readAll(at, 8n)
    assert.deepEqual(results[0]?.records, records.slice(8))
    assert.deepEqual(
      results.flatMap(({ gaps }) => gaps),
      [{ from: 10n, to: 14n, reason: 'retention-loss' }],
    )
    assert.deepEqual(
      results.flatMap((result) => result.records.map(({ offset }) => offset)),
      [8n, 9n, 15n, 16n, 17n, 18n, 19n, 20n, 21n, 22n],
    )
    const [inside] = await stage.readAll(at, 12n)
    assert.deepEqual(inside?.gaps, [{ from: 12n, to: 14n, reason: 'retention-loss' }])
  })

  test(`${name}: what lies before the archive's first manifest is a gap, too`, async () => {
    const topic = await newTopic('genesis')
    const at = placeOf(topic)
    await append(topic, 6)
    await place.log.truncate(at, 4n)
    await stage.archive(at)
    const [first, second] = await stage.readAll(at, 1n)
    assert.deepEqual(first?.gaps, [{ from: 1n, to: 3n, reason: 'retention-loss' }])
    assert.deepEqual([second?.tier, second?.records.length], ['log', 2])
  })

  test(`${name}: a topic that was made again is read by its old id from the archive, and by its new one from the log`, async () => {
    const topic = await newTopic('again')
    const at = placeOf(topic)
    await append(topic, 13)
    const records = await logged(at)
    await stage.archive(at)
    await append(topic, 2)
    await stage.sign()
    await place.deleteTopic(topic.name)
    const again = placeOf(await newTopic('again'))
    await stage.close(at)
    const results = await stage.readAll(at, 3n, true)
    assert.deepEqual(
      results.flatMap((result) => result.records),
      records.slice(3),
    )
    assert.deepEqual(results.at(-1)?.gaps, [{ from: 13n, to: 14n, reason: 'topic-deleted' }])
    await rejectsWith('LOG_TOPIC_REPLACED', stage.union.read({ ...at, from: 15n, ...EVERYTHING }))
    await append(again === at ? topic : { ...topic, id: again.topicId }, 1)
    assert.equal((await stage.readAll(again, 0n))[0]?.tier, 'log')
  })

  test(`${name}: a wrong byte is refused with its own error, never handed out, and the object put back is read`, async () => {
    const { at, records } = await cutTopic('tampered', 12, 12n)
    const flip = (bytes: Buffer): Buffer => {
      const copy = Buffer.from(bytes)
      copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1
      return copy
    }
    const folder = `/${at.topicId.slice(0, 8)}`
    const keys = (await Array.fromAsync(place.archive.store.list(''))).map(({ key }) => key)
    const data = keys.find((key) => key.startsWith('data/') && key.includes(`${folder}-`)) ?? ''
    const manifest = keys.find((key) => key.startsWith('segments/') && key.includes(`${folder}/`)) ?? ''
    const cases = [
      [data, flip, 'ARCHIVE_SEGMENT_ALTERED'],
      [data, (bytes: Buffer) => bytes.subarray(1), 'ARCHIVE_SEGMENT_ALTERED'],
      [data, (bytes: Buffer) => Buffer.concat([bytes, bytes]), 'ARCHIVE_SEGMENT_ALTERED'],
      [manifest, flip, 'ARCHIVE_NOTE_INVALID'],
    ] as const
    for (const [key, change, code] of cases) {
      const putBack = await place.archive.tamper(key, change)
      await rejectsWith(code, stage.reader().read({ ...at, from: 1n, ...EVERYTHING }))
      await putBack()
      const read = await stage.reader().read({ ...at, from: 1n, ...EVERYTHING })
      assert.deepEqual(read.records, records.slice(1, 10), key)
    }
    const putBack = await place.archive.tamper(data, null)
    const gone = stage.reader().read({ ...at, from: 1n, ...EVERYTHING })
    await assert.rejects(gone, (error) => isHooktrailError(error) && error.code.startsWith('ARCHIVE_'))
    await putBack()
  })

  test(`${name}: while the archive is away the log is read without it, and what only the archive holds waits for it`, async () => {
    const { at, records } = await cutTopic('away', 15, 12n)
    const reader = stage.reader()
    await place.archive.takeAway()
    const opens = stage.asked.opens
    assert.equal((await reader.read({ ...at, from: 12n, ...EVERYTHING })).tier, 'log')
    assert.equal(stage.asked.opens, opens, 'nobody asked the archive')
    await rejectsWith(place.awayCode, reader.read({ ...at, from: 3n, ...EVERYTHING, waitMsMax: 300_000 }))
    await place.archive.putBack()
    const back = await reader.read({ ...at, from: 3n, ...EVERYTHING })
    assert.deepEqual(back.records, records.slice(3, 10))
  })

  test(`${name}: what is not archived yet is waited for`, async () => {
    const topic = await newTopic('behind')
    const at = placeOf(topic)
    await append(topic, 5)
    await stage.archive(at)
    await append(topic, 5)
    await place.log.truncate(at, 8n)
    await rejectsWith('ARCHIVE_RANGE_MISSING', stage.union.read({ ...at, from: 6n, ...EVERYTHING }))
    await rejectsWith('LOG_OFFSET_OUT_OF_RANGE', stage.union.read({ ...at, from: 99n, ...EVERYTHING }))
    await stage.archive(at)
    assert.equal((await stage.readAll(at, 6n))[0]?.gaps[0]?.reason, 'retention-loss')
  })

  test(`${name}: who does not wait gets nothing and asks again; a segment is fetched once for all who ask`, async () => {
    const { at, records } = await cutTopic('once', 10, 10n)
    const reader = stage.reader()
    const dataReads = (): number => stage.asked.reads.filter((key) => key.startsWith('data/')).length
    const earlier = dataReads()
    const none = await reader.read({ ...at, from: 2n, ...EVERYTHING, waitMsMax: 0 })
    assert.deepEqual([none.tier, none.records.length, none.next], ['archive', 0, 2n])
    const reads = await Promise.all(
      records.map(({ offset }) => reader.read({ ...at, from: offset, ...EVERYTHING })),
    )
    assert.deepEqual(
      reads.map((read) => read.records[0]),
      records,
    )
    const now = await reader.read({ ...at, from: 2n, ...EVERYTHING, waitMsMax: 0 })
    assert.equal(now.records.length, 8)
    assert.equal(dataReads() - earlier, 1)
  })

  test(`${name}: with room for one segment alone everything is read all the same`, async () => {
    const { at, records } = await cutTopic('small', 3 * SEGMENT_RECORDS, 30n)
    const reader = stage.reader(1)
    for (const from of [25n, 3n, 14n, 0n, 29n]) {
      const { records: read } = await reader.read({ ...at, from, ...EVERYTHING, recordsMax: 1 })
      assert.deepEqual(read, [records[Number(from)]])
    }
  })
}

async function rejectsWith(code: ErrorCode, reading: Promise<unknown>): Promise<void> {
  await assert.rejects(reading, (error) => {
    assert(isHooktrailError(error), String(error))
    assert.equal(error.code, code)
    return true
  })
}

function placeOf({ name, id }: Topic): TopicPartition {
  return { topic: name, topicId: id, partition: 0 }
}

/** Everything that a record can be: text, bytes that are none, nothing, and headers of each kind, twice. */
function oddRecord(topic: Topic, n: number): AppendRecord {
  const values = [
    Buffer.from(`{"n":${n},"text":"Grüße 🙂"}`),
    Buffer.from([0xff, 0x00, n]),
    Buffer.alloc(0),
    null,
  ]
  return {
    ...{ topic, partition: 0 },
    key: n % 3 === 0 ? null : Buffer.from([n, 0x80]),
    value: values[n % 4] ?? null,
    headers: [
      { name: 'ce_id', value: Buffer.from(`event-${n}`) },
      { name: 'ce_id', value: Buffer.from([0xfe, n]) },
      { name: 'näme', value: null },
      { name: 'empty', value: Buffer.alloc(0) },
    ].slice(0, n % 5),
  }
}
