/** The rows are of use without hooktrail: DuckDB reads the compressed files as they lie there, loss-free. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { DuckDBInstance } from '@duckdb/node-api'
import { ArchiveBuilder, recordAt } from '../support/archive-builder.ts'

let folder = ''

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'archive-duckdb-'))
  const builder = await ArchiveBuilder.create(folder)
  await builder.addSegment(0, 30)
  await builder.addSegment(1, 10)
  await builder.addHeartbeat()
})

after(async () => {
  await rm(folder, { recursive: true, force: true })
})

async function query(sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    const source = `read_json('${folder}/data/**/*.jsonl.zst', format = 'newline_delimited')`
    const reader = await connection.runAndReadAll(sql.replace('ROWS', source))
    return reader.getRowsJson()
  } finally {
    connection.closeSync()
    instance.closeSync()
  }
}

test('DuckDB counts every row and reads the promoted columns', async () => {
  const rows = await query(
    "select count(*), count(distinct event_id), min(source) from ROWS where topic = 'hooktrail.events.demo'",
  )
  assert.deepEqual(rows, [['40', '30', 'demo']])
})

test('DuckDB gives back text and bytes of every value, key and header', async () => {
  const rows = await query(
    'select "offset", key, coalesce(hex(encode(value)), hex(from_base64(value_base64))), headers[1][2], hex(from_base64(headers[4][3])) from ROWS where partition = 0 order by cast("offset" as bigint)',
  )
  assert.equal(rows.length, 30)
  for (const [index, row] of rows.entries()) {
    const record = recordAt(BigInt(index))
    const value = record.value?.toString('hex').toUpperCase()
    assert.deepEqual(row, [String(index), `k${String(index)}`, value, `event-${String(index)}`, 'FE'])
  }
})
