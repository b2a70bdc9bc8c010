/** The rows are of use without hooktrail: DuckDB reads the files of each format as they lie there, loss-free. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { DuckDBInstance } from '@duckdb/node-api'
import { SEGMENT_FORMATS, type SegmentFormat } from '../../core/archive/manifest.ts'
import { ArchiveBuilder } from '../support/archive-builder.ts'
import { ARCHIVE_START_MS, recordAt } from '../support/archive-records.ts'

const LINES = { options: ", format = 'newline_delimited'" }

/** What a query says of each format: how its files are read, and its bytes. */
const formats = {
  'jsonl.zst': { ...LINES, read: 'read_json', bytes: 'coalesce(encode(value), from_base64(value_base64))' },
  'jsonl.gz': { ...LINES, read: 'read_json', bytes: 'coalesce(encode(value), from_base64(value_base64))' },
  parquet: { read: 'read_parquet', options: '', bytes: 'value' },
} as const

let base = ''

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'archive-duckdb-'))
  for (const format of SEGMENT_FORMATS) {
    const builder = await ArchiveBuilder.create(path.join(base, format), { format })
    await builder.addSegment(0, 30)
    await builder.addSegment(1, 10)
    await builder.addHeartbeat()
  }
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

async function query(format: SegmentFormat, sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const { read, options } = formats[format]
    const source = `${read}('${base}/${format}/data/**/*.${format}'${options})`
    const reader = await connection.runAndReadAll(sql.replace('ROWS', source))
    return reader.getRowsJson()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

for (const format of SEGMENT_FORMATS) {
  test(`DuckDB counts every row of ${format} and reads the promoted columns`, async () => {
    const rows = await query(
      format,
      "select count(*), count(distinct event_id), min(source) from ROWS where topic = 'hooktrail.events.demo'",
    )
    assert.deepEqual(rows, [['40', '30', 'demo']])
  })

  test(`DuckDB gives back bytes, times and headers of every row of ${format}`, async () => {
    const rows = await query(
      format,
      `select "offset", decode(${asBytes(format, 'key')}), hex(${formats[format].bytes}), epoch_ms("timestamp"::timestamptz), headers::json->>'$[0][1]', hex(from_base64(headers::json->>'$[3][2]')) from ROWS where partition = 0 order by cast("offset" as bigint)`,
    )
    assert.equal(rows.length, 30)
    for (const [index, row] of rows.entries()) {
      const record = recordAt(BigInt(index))
      const value = record.value?.toString('hex').toUpperCase()
      const time = String(ARCHIVE_START_MS + index)
      const [offset, key, ...rest] = row
      assert.deepEqual([offset, key], [String(index), `k${String(index)}`])
      assert.deepEqual(rest, [value, time, `event-${String(index)}`, 'FE'])
    }
  })
}

test('times in Parquet are instants in UTC, offsets whole numbers and values bytes', async () => {
  const [row] = await query(
    'parquet',
    'select typeof("timestamp"), typeof(received_at), typeof("offset"), typeof(value), typeof(event_id) from ROWS limit 1',
  )
  const instant = 'TIMESTAMP WITH TIME ZONE'
  assert.deepEqual(row, [instant, instant, 'BIGINT', 'BLOB', 'VARCHAR'])
})

function asBytes(format: SegmentFormat, column: string): string {
  return format === 'parquet' ? column : `encode(${column})`
}
