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
  Reader,
  readRecordsBatch,
  Writer,
} from '@platformatic/kafka'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AppendRecord, LogRecord, TimestampType } from '../../core/ports/event-log.ts'

export interface BatchHeader {
  readonly base: bigint
  readonly last: bigint
  /** The whole batch, header included. */
  readonly bytes: Buffer
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
const PRODUCER_ID_AT = 43
const HEADER_BYTES = 61
const APPEND_TIME_BIT = 8
const SEQUENCES = 2 ** 31
const NO_LEADER_EPOCH = -1

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
    producerId: bytes.readBigInt64BE(PRODUCER_ID_AT),
    isTransactional: (attributes & IS_TRANSACTIONAL) !== 0,
    isControl: (attributes & IS_CONTROL) !== 0,
  }
}

/** @throws LOG_CORRUPT when the batch cannot be decompressed or read, though its checksum is right */
export function decodeRecords({ base, bytes }: BatchHeader): readonly LogRecord[] {
  try {
    const { attributes, firstTimestamp, maxTimestamp, records } = readRecordsBatch(Reader.from(bytes))
    const timestampType: TimestampType = (attributes & APPEND_TIME_BIT) === 0 ? 0 : 1
    return records.map((record) => ({
      offset: base + BigInt(record.offsetDelta),
      timestampMs: timestampType === 1 ? maxTimestamp : firstTimestamp + record.timestampDelta,
      timestampType,
      key: record.key,
      value: record.value,
      headers: record.headers.map(([name, value]) => ({ name: String(name ?? ''), value })),
    }))
  } catch (error) {
    const codec = compressionsAlgorithmsByBitmask[String(bytes.readInt16BE(CHECKED_FROM) & IS_COMPRESSED)]
    throw new HooktrailError('LOG_CORRUPT', { offset: base, codec: codec?.bitmask ?? null }, error)
  }
}

/** The marker in a control batch: version, then type 0 = abort, 1 = commit. */
export function isAbortMarker(batch: BatchHeader): boolean {
  const [marker] = decodeRecords(batch)
  return marker?.key?.readInt16BE(2) === 0
}

export function encodeBatch(
  records: readonly AppendRecord[],
  nowMs: bigint,
  producer: ProducerState,
): Writer {
  const writer = Writer.create()
    .appendInt16(0)
    .appendInt32(records.length - 1)
    .appendInt64(nowMs)
    .appendInt64(nowMs)
    .appendInt64(producer.id)
    .appendInt16(producer.epoch)
    .appendInt32(producer.sequence)
    .appendInt32(records.length)
  records.forEach((record, index) => writer.appendFrom(encodeRecord(record, index)))
  const checksum = crc32c(writer.buffer)
  return writer
    .appendUnsignedInt32(checksum, false)
    .appendInt8(FORMAT, false)
    .appendInt32(NO_LEADER_EPOCH, false)
    .prependLength()
    .appendInt64(0n, false)
}

function encodeRecord({ key, value, headers }: AppendRecord, delta: number): Writer {
  return Writer.create()
    .appendInt8(0)
    .appendVarInt64(0n)
    .appendVarInt(delta)
    .appendVarIntBytes(key)
    .appendVarIntBytes(value)
    .appendVarIntArray([...headers], (entry, header) => {
      entry.appendVarIntBytes(Buffer.from(header.name)).appendVarIntBytes(bytesOf(header.value))
    })
    .prependVarIntLength()
}

function bytesOf(value: Buffer | string | null): Buffer | null {
  return typeof value === 'string' ? Buffer.from(value) : value
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
