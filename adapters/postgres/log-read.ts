/**
 * Reading one partition: one statement gives the bounds and the records below the byte bound, so that both come
 * from one snapshot. Sizes are summed before anything is sent: a huge batch is never loaded.
 */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { LogBounds, LogRecord, OffsetGap, ReadRequest, ReadResult } from '../../core/ports/event-log.ts'
import { decodeHeaders } from './log-headers.ts'
import type { Queryable } from './pool.ts'

interface Row {
  readonly log_start: bigint
  readonly next_offset: bigint
  readonly record_offset: bigint | null
  readonly timestamp_ms: bigint | null
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Buffer | null
}

/** $6 is a timestamp that no wanted record lies below: older slices are not even opened. */
const READ = {
  name: 'log-read',
  text: `SELECT p.log_start, p.next_offset, r.record_offset, r.timestamp_ms, r.key, r.value, r.headers
    FROM log_partitions p
    LEFT JOIN LATERAL (
      SELECT * FROM (
        SELECT *, sum(bytes) OVER (ORDER BY record_offset ROWS UNBOUNDED PRECEDING) - bytes AS bytes_before FROM (
          SELECT record_offset, timestamp_ms, key, value, headers,
                 coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0)
                   + coalesce(octet_length(headers), 0) AS bytes
            FROM log_records
           WHERE topic_no = $1 AND partition_no = $2 AND record_offset >= $3 AND timestamp_ms >= $6
           ORDER BY record_offset LIMIT $4) wanted) summed
       WHERE bytes_before = 0 OR bytes_before < $5) r ON r.record_offset < p.next_offset
   WHERE p.topic_no = $1 AND p.partition_no = $2
   ORDER BY r.record_offset`,
}

const BOUNDS = {
  name: 'log-bounds',
  text: 'SELECT log_start, next_offset FROM log_partitions WHERE topic_no = $1 AND partition_no = $2',
}

export async function readOnce(
  database: Queryable,
  topicNo: number,
  request: ReadRequest,
  timestampMsMin: bigint,
): Promise<ReadResult> {
  const { partition, from, recordsMax, bytesMax } = request
  const rows = await database.query<Row>(READ, [
    topicNo,
    partition,
    from.toString(),
    recordsMax,
    bytesMax,
    timestampMsMin.toString(),
  ])
  const bounds = boundsOf(rows[0], request)
  if (from < bounds.logStart || from > bounds.highWatermark)
    throw new HooktrailError('LOG_OFFSET_OUT_OF_RANGE', { from, ...bounds })
  const records = rows.flatMap(toRecord)
  const gaps = holes(records, from)
  const last = records.at(-1)
  return { records, gaps, next: last === undefined ? from : last.offset + 1n, ...bounds }
}

export async function readBounds(
  database: Queryable,
  topicNo: number,
  of: { readonly topic: string; readonly partition: number },
): Promise<LogBounds> {
  const [row] = await database.query<Pick<Row, 'log_start' | 'next_offset'>>(BOUNDS, [topicNo, of.partition])
  return boundsOf(row, of)
}

function boundsOf(
  row: Pick<Row, 'log_start' | 'next_offset'> | undefined,
  { topic, partition }: { readonly topic: string; readonly partition: number },
): LogBounds {
  if (row === undefined) throw new HooktrailError('LOG_TOPIC_REPLACED', { topic, partition })
  return { logStart: row.log_start, highWatermark: row.next_offset }
}

function toRecord(row: Row): readonly LogRecord[] {
  if (row.record_offset === null || row.timestamp_ms === null) return []
  return [
    {
      offset: row.record_offset,
      timestampMs: row.timestamp_ms,
      timestampType: 1,
      key: row.key,
      value: row.value,
      headers: decodeHeaders(row.headers),
    },
  ]
}

/** Offsets are contiguous; where rows are missing all the same, that is said, never skipped. */
function holes(records: readonly LogRecord[], from: bigint): readonly OffsetGap[] {
  const gaps: OffsetGap[] = []
  let expected = from
  for (const { offset } of records) {
    if (offset > expected) gaps.push({ from: expected, to: offset - 1n, reason: 'hole' })
    expected = offset + 1n
  }
  return gaps
}
