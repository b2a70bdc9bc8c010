/**
 * Record batches (Kafka's format 2) in both directions. Reading checks each batch's CRC-32C, which the client does not,
 * and is the only place that decompresses.
 */
import {
  compressionsAlgorithmsByBitmask,
  crc32c,
  IS_COMPRESSED,
  IS_CONTROL,
  IS_TRANSACTIONAL,
} from '@platformatic/kafka'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import type { AppendRecord, LogRecord, RecordHeader } from '../../core/ports/event-log.ts'
import { ByteReader, ByteWriter } from './byte-cursor.ts'

export interface BatchHeader {
  readonly base: bigint
  readonly last: bigint
  /** The whole batch, header included. */
  readonly bytes: Buffer
  readonly leaderEpoch: number
  readonly producerId: bigint
  readonly isTransactional: boolean
  readonly isControl: boolean
}

/** The producer's state in a partition: each batch carries it, and the broker drops what it has already. */
export interface ProducerState {
  readonly id: bigint
  readonly epoch: number
  sequence: number
}

const FORMAT = 2
/** Offset and length stand before what the length counts. */
const LENGTH_FROM = 8
const COUNTED_FROM = 12
const FORMAT_AT = 16
const CRC_AT = 17
const CHECKED_FROM = 21
const LAST_DELTA_AT = 23
const FIRST_TIMESTAMP_AT = 27
const MAX_TIMESTAMP_AT = 35
const PRODUCER_ID_AT = 43
const EPOCH_AT = 51
const SEQUENCE_AT = 53
const COUNT_AT = 57
const HEADER_BYTES = 61
const APPEND_TIME_BIT = 8
const SEQUENCES = 2 ** 31
const NO_LEADER_EPOCH = -1
const VARINT_BYTES_MAX = 5

/** Whole batches from the front; a last one that was cut off is left out. @throws LOG_CORRUPT */
export function* readBatches(bytes: Buffer): Generator<BatchHeader> {
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const end = at + COUNTED_FROM + bytes.readInt32BE(at + LENGTH_FROM)
    if (end > bytes.length) return
    yield readHeader(bytes.subarray(at, end))
    at = end
  }
}

function readHeader(bytes: Buffer): BatchHeader {
  const base = bytes.readBigInt64BE()
  const format = bytes.readInt8(FORMAT_AT)
  if (bytes.length < HEADER_BYTES || format !== FORMAT)
    throw new HooktrailError('LOG_CORRUPT', { offset: base, format })
  if (crc32c(bytes.subarray(CHECKED_FROM)) !== bytes.readUInt32BE(CRC_AT))
    throw new HooktrailError('LOG_CORRUPT', { offset: base, reason: 'checksum' })
  const attributes = bytes.readInt16BE(CHECKED_FROM)
  return {
    base,
    last: base + BigInt(bytes.readInt32BE(LAST_DELTA_AT)),
    bytes,
    leaderEpoch: bytes.readInt32BE(COUNTED_FROM),
    producerId: bytes.readBigInt64BE(PRODUCER_ID_AT),
    isTransactional: (attributes & IS_TRANSACTIONAL) !== 0,
    isControl: (attributes & IS_CONTROL) !== 0,
  }
}

/** @throws LOG_CORRUPT when the batch cannot be decompressed or read, though its checksum is right */
export function decodeRecords({ base, bytes }: BatchHeader): readonly LogRecord[] {
  try {
    const attributes = bytes.readInt16BE(CHECKED_FROM)
    const appended = (attributes & APPEND_TIME_BIT) !== 0
    const reader = new ByteReader(decompressed(attributes & IS_COMPRESSED, bytes.subarray(HEADER_BYTES)))
    const first = bytes.readBigInt64BE(FIRST_TIMESTAMP_AT)
    const most = bytes.readBigInt64BE(MAX_TIMESTAMP_AT)
    return Array.from({ length: bytes.readInt32BE(COUNT_AT) }, () =>
      decodeRecord(reader, base, (delta) =>
        appended ? { timestampMs: most, timestampType: 1 } : { timestampMs: first + delta, timestampType: 0 },
      ),
    )
  } catch (error) {
    throw new HooktrailError('LOG_CORRUPT', { offset: base, reason: messageOf(error) }, error)
  }
}

function decompressed(codec: number, bytes: Buffer): Buffer {
  if (codec === 0) return bytes
  const algorithm = compressionsAlgorithmsByBitmask[String(codec)]
  if (algorithm === undefined) throw new RangeError(`no codec ${codec}`)
  return algorithm.decompressSync(bytes)
}

type Timestamp = Pick<LogRecord, 'timestampMs' | 'timestampType'>

function decodeRecord(reader: ByteReader, base: bigint, timeOf: (delta: bigint) => Timestamp): LogRecord {
  const length = reader.varint()
  const end = reader.at + length
  reader.byte()
  const time = timeOf(reader.varlong())
  const offset = base + BigInt(reader.varint())
  const [key, value] = [reader.varBytes(), reader.varBytes()]
  const headers: RecordHeader[] = []
  for (let left = reader.varint(); left > 0; left--)
    headers.push({ name: reader.varText(), value: reader.varBytes() })
  if (reader.at !== end) throw new RangeError(`a record that ends at ${reader.at} instead of ${end}`)
  return { offset, ...time, key, value, headers }
}

/** The marker in a control batch: version, then type 0 = abort, 1 = commit. */
export function isAbortMarker(batch: BatchHeader): boolean {
  const [marker] = decodeRecords(batch)
  return marker?.key?.readInt16BE(2) === 0
}

/** Uncompressed; the time is the producer's, which a topic with LogAppendTime replaces. */
export function encodeBatch(
  records: readonly AppendRecord[],
  nowMs: bigint,
  producer: ProducerState,
): Buffer {
  const most = records.reduce((sum, record) => sum + encodedBytesMax(record), HEADER_BYTES)
  const writer = new ByteWriter(Buffer.allocUnsafe(most), HEADER_BYTES)
  records.forEach((record, index) => {
    encodeRecord(writer, record, index)
  })
  const bytes = writer.bytes.subarray(0, writer.at)
  bytes.writeBigInt64BE(0n, 0)
  bytes.writeInt32BE(bytes.length - COUNTED_FROM, LENGTH_FROM)
  bytes.writeInt32BE(NO_LEADER_EPOCH, COUNTED_FROM)
  bytes.writeInt8(FORMAT, FORMAT_AT)
  bytes.writeInt16BE(0, CHECKED_FROM)
  bytes.writeInt32BE(records.length - 1, LAST_DELTA_AT)
  bytes.writeBigInt64BE(nowMs, FIRST_TIMESTAMP_AT)
  bytes.writeBigInt64BE(nowMs, MAX_TIMESTAMP_AT)
  bytes.writeBigInt64BE(producer.id, PRODUCER_ID_AT)
  bytes.writeInt16BE(producer.epoch, EPOCH_AT)
  bytes.writeInt32BE(producer.sequence, SEQUENCE_AT)
  bytes.writeInt32BE(records.length, COUNT_AT)
  bytes.writeUInt32BE(crc32c(bytes.subarray(CHECKED_FROM)), CRC_AT)
  return bytes
}

/** The length comes first and is known last: the body is written behind the longest it can be, and moved up. */
function encodeRecord(writer: ByteWriter, { key, value, headers }: AppendRecord, delta: number): void {
  const start = writer.at
  const bodyAt = start + VARINT_BYTES_MAX
  writer.at = bodyAt
  writer.byte(0)
  writer.byte(0)
  writer.varint(delta)
  writer.varBytes(key)
  writer.varBytes(value)
  writer.varint(headers.length)
  for (const header of headers) {
    writer.varBytes(header.name)
    writer.varBytes(header.value)
  }
  const bodyEnd = writer.at
  writer.at = start
  writer.varint(bodyEnd - bodyAt)
  writer.bytes.copyWithin(writer.at, bodyAt, bodyEnd)
  writer.at += bodyEnd - bodyAt
}

/** What a record takes in a batch, never less. */
export function encodedBytesMax({ key, value, headers }: AppendRecord): number {
  const fixed = 32
  return headers.reduce(
    (sum, header) => sum + 3 * header.name.length + 10 + sizeOf(header.value),
    fixed + sizeOf(key) + sizeOf(value),
  )
}

function sizeOf(value: Buffer | string | null): number {
  return value === null ? 0 : typeof value === 'string' ? Buffer.byteLength(value) : value.length
}

/** Sequence numbers go round within 31 bits. */
export function sequenceAfter(sequence: number, records: number): number {
  return (sequence + records) % SEQUENCES
}

export { HEADER_BYTES as BATCH_HEADER_BYTES }
