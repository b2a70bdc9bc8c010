/**
 * The format of data objects is changed through the chain alone: whoever writes next takes it from the head, so that
 * archivers with different settings meet at one key; whatever the format, what is read back is what the log holds.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { encodeFile } from '../../archiver/encode-file.ts'
import { findSegment } from '../../core/archive/range/find-segment.ts'
import { SegmentRows } from '../../core/archive/range/segment-rows.ts'
import { SEGMENT_FORMATS, type SegmentFormat } from '../../core/archive/manifest.ts'
import { codecOf } from '../../core/archive/format/segment-codec.ts'
import type { LogRecord, TopicPartition } from '../../core/ports/event-log.ts'
import { recordAt } from '../support/archive-records.ts'
import {
  archiveAll,
  openStage,
  partitionOf,
  type ArchiverSeat,
  type ArchiverStage,
} from '../support/archiver-stage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { judge } from '../support/two-verifiers.ts'

const RECORDS = 30
const { signal } = new AbortController()

let stage: ArchiverStage

before(async () => {
  stage = await openStage()
})
after(async () => {
  await stage[Symbol.asyncDispose]()
})

function seatOf(format: SegmentFormat, instance: string = format): Promise<ArchiverSeat> {
  return stage.seat(instance, { settings: { format } })
}

async function archiveMore(seat: ArchiverSeat, at: TopicPartition, name?: string): Promise<void> {
  await stage.append(at, RECORDS, name)
  assert.equal(await archiveAll(seat.writer(at)), 'idle')
}

function formatsIn({ topic }: TopicPartition, keys: readonly string[]): readonly string[] {
  const data = keys.filter((key) => key.startsWith(`data/topic=${topic}/`))
  return data.map((key) => key.slice(key.indexOf('.', key.lastIndexOf('/')) + 1))
}

async function created({ topic }: TopicPartition): Promise<readonly string[]> {
  const keys: string[] = []
  for await (const { key } of stage.store.list(`data/topic=${topic}/`)) keys.push(key)
  return keys
}

/** All records of the chain as the archive gives them back, and as the log has them. */
async function assertSame(seat: ArchiverSeat, at: TopicPartition): Promise<void> {
  const { highWatermark } = await stage.log.bounds(at)
  const source = { store: stage.store, keys: seat.context.verifiers }
  const archived: LogRecord[] = []
  for (let from = 0n; from < highWatermark;) {
    const found = await findSegment(source, at, from)
    assert(found !== null)
    const rows = await SegmentRows.load(source, found, signal)
    archived.push(...(await rows.read({ from, recordsMax: 10_000, bytesMax: 1 << 30 })).records)
    from = rows.next
  }
  const bounds = { from: 0n, recordsMax: 10_000, bytesMax: 1 << 30, waitMsMax: 0 }
  assert.deepEqual(archived, (await stage.log.read({ ...at, ...bounds })).records)
}

test('another setting takes effect behind the manifest that says so, and every format is read back and verified', async () => {
  const at = partitionOf(await stage.topic('hooktrail.events.switched'))
  const [zst, parquet, gz] = [await seatOf('jsonl.zst'), await seatOf('parquet'), await seatOf('jsonl.gz')]
  for (const seat of [zst, zst, parquet, parquet, gz, gz, zst, zst]) await archiveMore(seat, at)
  assert.deepEqual(formatsIn(at, await created(at)), [
    ...['jsonl.zst', 'jsonl.zst', 'jsonl.zst', 'parquet'],
    ...['parquet', 'jsonl.gz', 'jsonl.gz', 'jsonl.zst'],
  ])
  await zst.heartbeats.step(await stage.log.topics())
  const report = await stage.verify()
  assert.deepEqual([report.exitCode, report.findings], [0, []])
  assert.equal(report.records, String(8 * RECORDS))
  await assertSame(zst, at)
})

test('two archivers with different settings write one object for one start', async () => {
  const at = partitionOf(await stage.topic('hooktrail.events.two-settings'))
  const [one, other] = [await seatOf('jsonl.zst', 'one'), await seatOf('parquet', 'other')]
  await archiveMore(other, at)
  await stage.append(at, RECORDS)
  const writers = [one.writer(at), other.writer(at)]
  for (const writer of writers) await archiveAll(writer)
  assert.deepEqual(formatsIn(at, await created(at)), ['jsonl.zst', 'parquet'])
  assert.equal((await stage.verify()).exitCode, 0)
})

for (const format of SEGMENT_FORMATS) {
  test(`a ${format} object that a crash left without its manifest is adopted, whatever the setting is by then`, async () => {
    const at = partitionOf(await stage.topic(`hooktrail.events.left-${format}`))
    const before = await seatOf(format)
    await archiveMore(before, at)
    await stage.append(at, RECORDS, 'left')
    before.archive.fail('segments/', 'before')
    assert.equal(await archiveAll(before.writer(at)), 'waiting')
    const next = await seatOf(format === 'parquet' ? 'jsonl.gz' : 'parquet', 'next')
    await archiveMore(next, at, 'more')
    const formats = formatsIn(at, await created(at))
    assert.equal(formats[1], format)
    const { exitCode, findings } = await stage.verify()
    assert.equal(exitCode, 0, JSON.stringify(findings))
    await assertSame(next, at)
  })

  test(`a segment in ${format} that does not fit into memory goes through the spool`, async () => {
    const at = partitionOf(await stage.topic(`hooktrail.events.spooled-${format}`))
    const seat = await seatOf(format)
    await archiveMore(seat, at)
    for (let n = 0; n < 3; n++) await stage.append(at, 600, 'x'.repeat(400))
    await archiveAll(seat.writer(at))
    assert.equal(formatsIn(at, await created(at))[1], format)
    await assertSame(seat, at)
  })
}

for (const format of SEGMENT_FORMATS) {
  test(`a file is encoded to ${format} with its size and SHA-256, and one that is gone is the file system's error`, async () => {
    const [from, to] = [path.join(stage.folder, `rows-${format}`), path.join(stage.folder, `body-${format}`)]
    const { row } = codecOf(format)
    const at = { topic: 'hooktrail.events.demo', topicId: '0'.repeat(32), partition: 0 }
    await writeFile(from, Buffer.concat([row(recordAt(0n), at), row(recordAt(1n), at)]))
    const { size, sha256 } = await encodeFile({ from, to, format })
    const body = await readFile(to)
    assert.deepEqual([size, sha256], [body.length, hash('sha256', body, 'buffer')])
    await assert.rejects(encodeFile({ from: `${from}-gone`, to, format }), { code: 'ENOENT' })
  })
}

test('the independent verifier says the same of everything that was archived here', async (t) => {
  const python = await orSkip(t, pythonOrReason())
  if (python === null) return
  const seat = await seatOf('jsonl.zst', 'last')
  await seat.heartbeats.step(await stage.log.topics())
  const keys = seat.context.verifiers.map(({ vkey }) => vkey)
  const said = await judge({ python, folder: stage.directory, keys, nowMs: Date.now() })
  assert.equal(said.exitCode, 0, said.findings.join(', '))
})
