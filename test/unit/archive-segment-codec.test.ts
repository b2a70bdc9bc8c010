/** Every format is loss-free: the rows that come out are those that went in, byte for byte, and so are leaves and root. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readRows } from '../../core/archive/data-rows.ts'
import { leafHash } from '../../core/archive/leaf.ts'
import {
  formatBehind,
  SEGMENT_FORMATS,
  type Manifest,
  type SegmentFormat,
} from '../../core/archive/manifest.ts'
import { merkleRoot } from '../../core/archive/merkle.ts'
import { decodeRowForLeaf, encodeRow } from '../../core/archive/row.ts'
import type { LogRecord } from '../../core/ports/event-log.ts'
import { encodeRecords } from '../support/archive-records.ts'

const AT = { topic: 'hooktrail.events.demo', topicId: '00112233445566778899aabbccddeeff', partition: 2 }
const { signal } = new AbortController()

const field = fc.option(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  { freq: 4 },
)
const record: fc.Arbitrary<LogRecord> = fc.record({
  offset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  timestampMs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  timestampType: fc.constantFrom(0 as const, 1 as const),
  key: field,
  value: fc.oneof(
    field,
    fc.string({ unit: 'grapheme' }).map((text) => Buffer.from(`\ufeff${text}`)),
  ),
  headers: fc.array(
    fc.record({ name: fc.constantFrom('ce_id', 'ce_time', 'ce_source', 'x', 'é😀'), value: field }),
    { maxLength: 4 },
  ),
})

async function linesOf(bytes: Uint8Array, format: SegmentFormat): Promise<readonly string[]> {
  const lines: string[] = []
  await readRows({ bytes: [bytes], format, onLine: (line) => void lines.push(line), signal })
  return lines
}

for (const format of SEGMENT_FORMATS) {
  test(`${format} gives back every record of every kind, and the same root`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 12 }), async (records) => {
        const rows = records.map((each) => encodeRow(each, AT))
        const lines = await linesOf(await encodeRecords(records, AT, format), format)
        assert.deepEqual(
          lines,
          rows.map((row) => row.toString('utf8').slice(0, -1)),
        )
        const leaves = lines.map((line) => leafHash(decodeRowForLeaf(line).record, AT))
        assert.deepEqual(merkleRoot(leaves), merkleRoot(records.map((each) => leafHash(each, AT))))
      }),
      { numRuns: 40 },
    )
  })

  test(`${format} that was cut or is of another format is refused`, async () => {
    const records = [0n, 1n].map((offset) => plain(offset, 20))
    const bytes = await encodeRecords(records, AT, format)
    await assert.rejects(linesOf(bytes.subarray(0, bytes.length - 9), format))
    await assert.rejects(linesOf(Buffer.from('no such format'), format))
  })
}

test('a Parquet object of several row groups is read in order', async () => {
  const records = Array.from({ length: 21_000 }, (_, index) => plain(BigInt(index), 8))
  const lines = await linesOf(await encodeRecords(records, AT, 'parquet'), 'parquet')
  assert.equal(lines.length, records.length)
  assert(lines.every((line, index) => decodeRowForLeaf(line).record.offset === BigInt(index)))
})

test('the format of the next data object is the one that the head names, else the one of genesis', () => {
  const head = (format?: Manifest['format']) => ({ ...MANIFEST, ...(format === undefined ? {} : { format }) })
  assert.equal(formatBehind('jsonl.gz', null), 'jsonl.gz')
  assert.equal(formatBehind('jsonl.gz', head()), 'jsonl.gz')
  assert.equal(formatBehind('jsonl.gz', head({ next: 'parquet' })), 'parquet')
})

const MANIFEST: Manifest = {
  ...{
    kind: 'segment',
    format_version: 1,
    archive_id: 'a',
    topic: 't',
    topic_id: '0'.repeat(32),
    partition: 0,
  },
  ...{ first: '0', last: '0', next: '1', genesis: false, records: 0, raw_bytes: '0', leaves: 0, data: null },
  ...{ gaps: [], min_timestamp_ms: null, max_timestamp_ms: null, merkle_root: '', previous: null },
  ...{ leader_epochs: [], log_start: '0', high_watermark: '1', retention: null, encryption: null },
  ...{ writer: 'w', created_at: '', adopted: false },
}

function plain(offset: bigint, size: number): LogRecord {
  const value = Buffer.from('x'.repeat(size))
  return { offset, timestampMs: 1_767_225_600_000n, timestampType: 1, key: null, value, headers: [] }
}
