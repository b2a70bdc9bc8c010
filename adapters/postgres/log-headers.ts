/**
 * Record headers as one bytea: uint32 count, then for each uint16 name length, name, int32 value length (-1 = null),
 * value; big endian. One column instead of two arrays: an array of bytea costs a header and alignment each.
 */
import assert from 'node:assert/strict'
import type { AppendHeader, RecordHeader } from '../../core/ports/event-log.ts'

const COUNT_BYTES = 4
const LENGTHS_BYTES = 6
const NAME_BYTES_MAX = 0xffff

/** A UTF-16 unit takes at most this many bytes of UTF-8. */
const UNIT_BYTES_MAX = 3

/** Takes room for the longest spelling and cuts it afterwards: to measure each text costs as much as to write it. */
export function encodeHeaders(headers: readonly AppendHeader[]): Buffer | null {
  if (headers.length === 0) return null
  let room = COUNT_BYTES
  for (const { name, value } of headers) room += LENGTHS_BYTES + roomOf(name) + roomOf(value)
  const block = Buffer.allocUnsafe(room)
  let at = block.writeUInt32BE(headers.length, 0)
  for (const { name, value } of headers) {
    const nameBytes = block.write(name, at + 2)
    assert.ok(nameBytes <= NAME_BYTES_MAX, 'a header name is at most 65 535 bytes')
    block.writeUInt16BE(nameBytes, at)
    at = writeValue(block, value, at + 2 + nameBytes)
  }
  return block.subarray(0, at)
}

function roomOf(value: Buffer | string | null): number {
  if (value === null) return 0
  return typeof value === 'string' ? value.length * UNIT_BYTES_MAX : value.length
}

/** Returns the position behind the value. */
function writeValue(block: Buffer, value: Buffer | string | null, at: number): number {
  if (value === null) return block.writeInt32BE(-1, at)
  const start = at + 4
  const bytes = typeof value === 'string' ? block.write(value, start) : value.copy(block, start)
  block.writeInt32BE(bytes, at)
  return start + bytes
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
