/**
 * The commitment to one record, independent of any file format: SHA-256(0x00 ‖ preimage). The preimage is a bijection
 * of the record's bytes, so rows in any format, or the log itself, give the same leaf. Integers are big-endian,
 * lengths 32 bits, −1 (0xffffffff) stands for null.
 */
import { hash } from 'node:crypto'
import type { LogRecord, TopicPartition } from '../ports/event-log.ts'

/** RFC 6962 leaf prefix and the version of the preimage. */
const PREFIX = Buffer.from('\0hooktrail/1', 'latin1')
const FIXED_BYTES = PREFIX.length + 16 + 4 + 8 + 8 + 1 + 4 + 4 + 4
const SCRATCH_BYTES = 64 * 1024
const NULL_LENGTH = 0xffffffff

const scratch = Buffer.allocUnsafe(SCRATCH_BYTES)

export function leafHash(record: LogRecord, at: TopicPartition): Buffer {
  return hash('sha256', prefixedPreimage(record, at), 'buffer')
}

/** The preimage alone, for documentation and proofs. */
export function leafPreimage(record: LogRecord, at: TopicPartition): Buffer {
  return Buffer.from(prefixedPreimage(record, at).subarray(1))
}

/** 0x00 ‖ preimage. Valid until the next call: small records share one buffer. */
function prefixedPreimage(record: LogRecord, at: TopicPartition): Buffer {
  const size = preimageSize(record)
  const out = size <= SCRATCH_BYTES ? scratch : Buffer.allocUnsafe(size)
  let end = PREFIX.copy(out, 0)
  end += out.write(at.topicId, end, 16, 'hex')
  end = out.writeUInt32BE(at.partition, end)
  end = out.writeBigUInt64BE(record.offset, end)
  end = out.writeBigInt64BE(record.timestampMs, end)
  end = out.writeUInt8(record.timestampType, end)
  end = writeBytes(out, end, record.key)
  end = writeBytes(out, end, record.value)
  end = out.writeUInt32BE(record.headers.length, end)
  for (const header of record.headers) {
    const nameBytes = out.write(header.name, end + 4, 'utf8')
    end = out.writeUInt32BE(nameBytes, end) + nameBytes
    end = writeBytes(out, end, header.value)
  }
  return out.subarray(0, end)
}

function preimageSize(record: LogRecord): number {
  let size = FIXED_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const header of record.headers) {
    size += 8 + Buffer.byteLength(header.name, 'utf8') + (header.value?.length ?? 0)
  }
  return size
}

function writeBytes(out: Buffer, at: number, bytes: Buffer | null): number {
  if (bytes === null) return out.writeUInt32BE(NULL_LENGTH, at)
  const start = out.writeUInt32BE(bytes.length, at)
  return start + bytes.copy(out, start)
}
