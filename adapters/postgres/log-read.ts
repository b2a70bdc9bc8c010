/**
 * Reading one partition: log_read in infra/sql/000001_log.sql gives the bounds and the records below the byte bound from
 * one snapshot. It is copied out in binary: rows as text would cost two hex digits a byte on both sides.
 */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { LogBounds, LogRecord, OffsetGap, ReadRequest, ReadResult } from '../../core/ports/event-log.ts'
import { int8Of, type CopiedRow } from './copy-rows.ts'
import { decodeHeaders } from './log-headers.ts'
import type { Database, Queryable } from './pool.ts'

interface BoundsRow {
  readonly log_start: bigint
  readonly next_offset: bigint
}

const BOUNDS = {
  name: 'log-bounds',
  text: 'SELECT log_start, next_offset FROM log_partitions WHERE topic_no = $1 AND partition_no = $2',
}

export async function readOnce(
  database: Database,
  topicNo: number,
  request: ReadRequest,
  timestampMsMin: bigint,
): Promise<ReadResult> {
  const { partition, from, recordsMax, bytesMax } = request
  const [first, ...rows] = await database.copyRows('log_read', [
    ...[topicNo, partition, from, recordsMax, bytesMax, timestampMsMin],
  ])
  const bounds = boundsOf(first && { next_offset: int8Of(first[0]), log_start: int8Of(first[1]) }, request)
  if (from < bounds.logStart || from > bounds.highWatermark)
    throw new HooktrailError('LOG_OFFSET_OUT_OF_RANGE', { from, ...bounds })
  const records = rows.map(toRecord)
  const gaps = holes(records, from)
  const last = records.at(-1)
  return { tier: 'log', records, gaps, next: last === undefined ? from : last.offset + 1n, ...bounds }
}

export async function readBounds(
  database: Queryable,
  topicNo: number,
  of: { readonly topic: string; readonly partition: number },
): Promise<LogBounds> {
  const [row] = await database.query<BoundsRow & Record<string, unknown>>(BOUNDS, [topicNo, of.partition])
  return boundsOf(row, of)
}

function boundsOf(
  row: BoundsRow | undefined,
  { topic, partition }: { readonly topic: string; readonly partition: number },
): LogBounds {
  if (row === undefined) throw new HooktrailError('LOG_TOPIC_REPLACED', { topic, partition })
  return { logStart: row.log_start, highWatermark: row.next_offset }
}

function toRecord([offset, timestamp, key = null, value = null, headers = null]: CopiedRow): LogRecord {
  return {
    offset: int8Of(offset),
    timestampMs: int8Of(timestamp),
    timestampType: 1,
    key,
    value,
    headers: decodeHeaders(headers),
  }
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
