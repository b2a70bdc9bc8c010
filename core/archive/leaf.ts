/**
 * The commitment to one record, independent of any file format: SHA-256(0x00 ‖ preimage). The preimage is a bijection
 * of the record's bytes, so rows in any format, or the log itself, give the same leaf. Integers are big-endian,
 * lengths 32 bits, −1 (0xffffffff) stands for null.
 */
import type { LogRecord, TopicPartition } from '../ports/event-log.ts'
import { bytesOfHash, hashText, type HashText } from './merkle.ts'

/** A record whose bytes may be text, which stands for its UTF-8: what a row holds as text need not become a buffer first. */
export interface LeafRecord extends Pick<LogRecord, 'offset' | 'timestampMs' | 'timestampType'> {
  readonly key: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers: readonly { readonly name: string; readonly value: Buffer | string | null }[]
}

/** RFC 6962 leaf prefix and the version of the preimage. */
export const PREIMAGE_PREFIX = Buffer.from('\0hooktrail/1', 'latin1')
const FIXED_BYTES = PREIMAGE_PREFIX.length + 16 + 4 + 8 + 8 + 1 + 4 + 4 + 4
const SCRATCH_BYTES = 256 * 1024
const NULL_LENGTH = 0xffffffff
/** Of one UTF-16 code unit in UTF-8. */
const BYTES_PER_UNIT_MAX = 3
/** Up to here writing letter by letter is faster than a call out of JavaScript. */
const SHORT_TEXT_UNITS = 64

const scratch = Buffer.allocUnsafe(SCRATCH_BYTES)

export function leafHash(record: LeafRecord, at: TopicPartition): Buffer {
  return bytesOfHash(leafText(record, at))
}

/** leafHash where there is one for each event. */
export function leafText(record: LeafRecord, at: TopicPartition): HashText {
  return hashText(prefixedPreimage(record, at))
}

/** The preimage alone, for documentation and proofs. */
export function leafPreimage(record: LeafRecord, at: TopicPartition): Buffer {
  return Buffer.from(prefixedPreimage(record, at).subarray(1))
}

/** 0x00 ‖ preimage. Valid until the next call: small records share one buffer. */
function prefixedPreimage(record: LeafRecord, at: TopicPartition): Buffer {
  const size = preimageSizeMax(record)
  const out = size <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(size)
  let end = PREIMAGE_PREFIX.copy(out, 0)
  end += out.write(at.topicId, end, 16, 'hex')
  end = out.writeUInt32BE(at.partition, end)
  end = out.writeBigUInt64BE(record.offset, end)
  end = out.writeBigInt64BE(record.timestampMs, end)
  end = out.writeUInt8(record.timestampType, end)
  end = writeField(out, end, record.key)
  end = writeField(out, end, record.value)
  end = out.writeUInt32BE(record.headers.length, end)
  for (const { name, value } of record.headers) end = writeField(out, writeField(out, end, name), value)
  return out.subarray(0, end)
}

function preimageSizeMax({ key, value, headers }: LeafRecord): number {
  let size = FIXED_BYTES + sizeMax(key) + sizeMax(value)
  for (const header of headers) size += 8 + sizeMax(header.name) + sizeMax(header.value)
  return size
}

function sizeMax(field: Buffer | string | null): number {
  if (field === null) return 0
  return typeof field === 'string' ? field.length * BYTES_PER_UNIT_MAX : field.length
}

/** Length and bytes. @returns the end */
function writeField(out: Buffer, at: number, field: Buffer | string | null): number {
  if (field === null) return out.writeUInt32BE(NULL_LENGTH, at)
  const start = at + 4
  const size = typeof field === 'string' ? writeText(out, start, field) : field.copy(out, start)
  return out.writeUInt32BE(size, at) + size
}

/** @returns how many bytes */
function writeText(out: Buffer, at: number, text: string): number {
  if (text.length > SHORT_TEXT_UNITS) return out.write(text, at, 'utf8')
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit >= 0x80) return out.write(text, at, 'utf8')
    out[at + i] = unit
  }
  return text.length
}
