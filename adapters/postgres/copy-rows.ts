/**
 * Rows of a set-returning function by COPY in binary: the driver has no binary results of its own. Format: a header of
 * 19 bytes, then for each row int16 fields and for each field int32 length (-1 = null) and bytes; int16 -1 at the end.
 */
import assert from 'node:assert/strict'
import type { PoolClient } from 'pg'
import { to as copyTo } from 'pg-copy-streams'

/** Fields as they are on the wire, in memory of the row's own. */
export type CopiedRow = readonly (Buffer | null)[]

const HEADER_BYTES = 19
const END = -1
/** COPY takes no parameters: names are ours, and numbers need no quoting. */
const NAME = /^[a-z_]+$/

export async function copyOut(
  client: PoolClient,
  name: string,
  values: readonly (number | bigint)[],
): Promise<Buffer> {
  assert.match(name, NAME)
  const stream = client.query(
    copyTo(`COPY (SELECT * FROM ${name}(${values.join(', ')})) TO STDOUT (FORMAT binary)`),
  )
  const chunks: Buffer[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
  })
  stream.on('end', resolve)
  stream.on('error', reject)
  await promise
  return Buffer.concat(chunks)
}

export function int8Of(field: Buffer | null | undefined): bigint {
  assert.ok(field, 'the field is not null')
  return field.readBigInt64BE()
}

export function parseRows(bytes: Buffer): readonly CopiedRow[] {
  const rows: CopiedRow[] = []
  let at = HEADER_BYTES
  for (let fields = bytes.readInt16BE(at); fields !== END; fields = bytes.readInt16BE(at)) {
    const end = endOfRow(bytes, at + 2, fields)
    // A copy: what keeps one record must not keep the whole batch.
    rows.push(fieldsOf(Buffer.from(bytes.subarray(at + 2, end)), fields))
    at = end
  }
  return rows
}

function endOfRow(bytes: Buffer, start: number, fields: number): number {
  let at = start
  for (let field = 0; field < fields; field++) at += 4 + Math.max(bytes.readInt32BE(at), 0)
  return at
}

function fieldsOf(row: Buffer, fields: number): CopiedRow {
  let at = 0
  return Array.from({ length: fields }, () => {
    const length = row.readInt32BE(at)
    const start = at + 4
    at = start + Math.max(length, 0)
    return length < 0 ? null : row.subarray(start, at)
  })
}
