/**
 * Record headers as one bytea: uint32 count, then for each uint16 name length, name, int32 value length (-1 = null),
 * value; big endian. One column instead of two arrays: an array of bytea costs a header and alignment each.
 */
import assert from 'node:assert/strict'
import type { RecordHeader } from '../../core/ports/event-log.ts'

const COUNT_BYTES = 4
const LENGTHS_BYTES = 6
const NAME_BYTES_MAX = 0xffff

export function encodeHeaders(headers: readonly RecordHeader[]): Buffer | null {
  if (headers.length === 0) return null
  let bytes = COUNT_BYTES
  for (const { name, value } of headers)
    bytes += LENGTHS_BYTES + Buffer.byteLength(name) + (value?.length ?? 0)
  const block = Buffer.allocUnsafe(bytes)
  let at = block.writeUInt32BE(headers.length, 0)
  for (const { name, value } of headers) {
    const nameBytes = block.write(name, at + 2)
    assert.ok(nameBytes <= NAME_BYTES_MAX, 'a header name is at most 65 535 bytes')
    block.writeUInt16BE(nameBytes, at)
    at = block.writeInt32BE(value?.length ?? -1, at + 2 + nameBytes)
    if (value !== null) at += value.copy(block, at)
  }
  assert.equal(at, bytes)
  return block
}

export function decodeHeaders(block: Buffer | null): readonly RecordHeader[] {
  if (block === null) return []
  const count = block.readUInt32BE(0)
  const headers: RecordHeader[] = []
  let at = COUNT_BYTES
  for (let index = 0; index < count; index++) {
    const nameEnd = at + 2 + block.readUInt16BE(at)
    const name = block.toString('utf8', at + 2, nameEnd)
    const length = block.readInt32BE(nameEnd)
    at = nameEnd + 4 + Math.max(length, 0)
    assert.ok(at <= block.length, 'a header ends inside its block')
    headers.push({ name, value: length < 0 ? null : block.subarray(nameEnd + 4, at) })
  }
  assert.equal(at, block.length, 'headers fill their block')
  return headers
}
