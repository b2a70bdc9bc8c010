/** The records of archives that tests build, and data objects of them: bytes that are no text, text, headers of all kinds. */
import { buffer } from 'node:stream/consumers'
import { codecOf } from '../../core/archive/format/segment-codec.ts'
import type { SegmentFormat } from '../../core/archive/manifest.ts'
import type { DecodedRow } from '../../core/archive/row.ts'
import type { LogRecord, TopicPartition } from '../../core/ports/event-log.ts'

export const ARCHIVE_START_MS = Date.UTC(2026, 0, 1)

/** Records of one partition as one data object. */
export function encodeRecords(
  records: readonly LogRecord[],
  at: TopicPartition,
  format: SegmentFormat,
): Promise<Buffer> {
  return encodeRows(
    records.map((record) => ({ record, at })),
    format,
  )
}

/** Rows as one data object, whatever partitions they say they are of. */
export function encodeRows(rows: readonly DecodedRow[], format: SegmentFormat): Promise<Buffer> {
  const codec = codecOf(format)
  const encoder = codec.encode()
  encoder.end(Buffer.concat(rows.map(({ record, at }) => codec.row(record, at))))
  return buffer(encoder)
}

export function recordAt(offset: bigint): LogRecord {
  const value =
    offset % 3n === 0n
      ? Buffer.from([0xff, 0x00, Number(offset % 256n)])
      : Buffer.from(`{"n":${String(offset)}}`)
  return {
    offset,
    timestampMs: BigInt(ARCHIVE_START_MS) + offset,
    timestampType: 1,
    key: Buffer.from(`k${String(offset)}`),
    value,
    headers: [
      { name: 'ce_id', value: Buffer.from(`event-${String(offset)}`) },
      { name: 'ce_source', value: Buffer.from('/hooktrail/demo') },
      { name: 'empty', value: null },
      { name: 'binary', value: Buffer.from([0xfe]) },
    ],
  }
}
