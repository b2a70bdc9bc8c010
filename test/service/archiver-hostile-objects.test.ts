/**
 * Somebody who can write the archive and signs nothing leaves an object where the next one belongs, so that the archiver
 * has to look into it. Goal: it costs the archiving of that partition and no more, and it is named.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { after, before, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { columnsOf, PARQUET_SCHEMA } from '../../core/archive/format/parquet-columns.ts'
import { dataKey } from '../../core/archive/keys.ts'
import type { SegmentFormat } from '../../core/archive/manifest.ts'
import { decodeRow, encodeRow } from '../../core/archive/row.ts'
import { recordAt } from '../support/archive-records.ts'
import { archiveAll, openStage, partitionOf, type ArchiverStage } from '../support/archiver-stage.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

const RECORDS = 5
const HELD_BYTES_MAX = 300 * 1024 * 1024

let stage: ArchiverStage

before(async () => {
  stage = await openStage()
})
after(async () => {
  await stage[Symbol.asyncDispose]()
})

/** A Parquet object of a few KiB, one of whose runs of equal values claims to be 2^30 long. */
function endlessRun(): Buffer {
  const at = { topic: 'hooktrail.events.demo', topicId: '0'.repeat(32), partition: 0 }
  const rows = Array.from({ length: 640 }, (_, n) => {
    const key = Math.floor(n / 16) % 2 === 0 ? Buffer.from('a') : null
    return decodeRow(encodeRow({ ...recordAt(BigInt(n)), key }, at).toString())
  })
  const bytes = new ByteWriter()
  const compressors = { ZSTD: (page: Uint8Array) => zstdCompressSync(page) }
  const writer = new ParquetWriter({ writer: bytes, schema: PARQUET_SCHEMA, codec: 'ZSTD', compressors })
  void writer.write({ columnData: columnsOf(rows), rowGroupSize: rows.length })
  void writer.finish()
  const object = Buffer.from(bytes.getBytes())
  const levels = object.indexOf(Buffer.from('2001200020012000', 'hex'))
  assert.notEqual(levels, -1)
  Buffer.from('feffffff0701', 'hex').copy(object, levels)
  return object
}

const OBJECTS: readonly {
  readonly what: string
  readonly format: SegmentFormat
  readonly object: () => Buffer
}[] = [
  { what: 'a Parquet object that asks for any amount of memory', format: 'parquet', object: endlessRun },
  {
    what: 'a gzip object of what is no row',
    format: 'jsonl.gz',
    object: () => gzipSync('{"topic":"other"}\n'.repeat(1_000_000)),
  },
]

for (const { what, format, object } of OBJECTS) {
  test(`${what} halts its partition alone, and is named`, async () => {
    const at = partitionOf(await stage.topic(`hooktrail.events.hostile-${format}`))
    const other = partitionOf(await stage.topic(`hooktrail.events.beside-${format}`))
    const { logger, lines } = recordedLogger()
    const seat = await stage.seat(format, { settings: { format }, deps: { logger } })
    for (const each of [at, other]) await stage.append(each, RECORDS)
    const bounds = { from: 0n, recordsMax: 1, bytesMax: 1 << 20, waitMsMax: 0 }
    const { records } = await stage.log.read({ ...at, ...bounds })
    const timestampMs = records[0]?.timestampMs ?? assert.fail('no record')
    const key = dataKey({ ...at, start: 0n, timestampMs, format })
    const body = object()
    const sha256 = hash('sha256', body, 'buffer')
    await stage.store.create({ key, body, sha256, contentType: 'application/octet-stream' })
    const writer = seat.writer(at)
    const heldBefore = process.memoryUsage.rss()
    assert.equal(await archiveAll(writer), 'halted')
    assert.ok(process.memoryUsage.rss() - heldBefore < HELD_BYTES_MAX)
    assert.equal(writer.status().haltedBy, 'an object of the archive holds something else than the log')
    assert.ok(JSON.stringify(lines).includes(key))
    assert.equal(await archiveAll(seat.writer(other)), 'idle')
  })
}
