/**
 * Reading one partition: log_read in infra/sql/000001_log.sql gives the bounds and the records below the byte bound from
 * one snapshot. A slice that is dropped behind that snapshot takes its rows along all the same, so missing rows are
 * asked about once more: cut off is out of range, anything else is damage, and neither is ever skipped. It is copied out
 * in binary: rows as text would cost two hex digits a byte on both sides.
 */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { LogBounds, LogRecord, ReadRequest, ReadResult } from '../../core/ports/event-log.ts'
import { int8Of, type CopiedRow } from './copy-rows.ts'
import { decodeHeaders } from './log-headers.ts'
import type { Database, Queryable } from './database.ts'

interface BoundsRow {
  readonly log_start: bigint
  readonly next_offset: bigint
}

const BOUNDS = {
  name: 'log-bounds',
  text: 'SELECT log_start, next_offset FROM log_partitions WHERE topic_no = $1 AND partition_no = $2',
}

/** @throws LOG_OFFSET_OUT_OF_RANGE, LOG_TOPIC_REPLACED, LOG_CORRUPT */
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
  requireInRange(from, bounds)
  const records = rows.map(toRecord)
  const missing = firstMissing(records, from, bounds.highWatermark)
  if (missing !== null) {
    requireInRange(from, await readBounds(database, topicNo, request))
    const { topic } = request
    throw new HooktrailError('LOG_CORRUPT', {
      topic,
      partition,
      offset: missing,
      reason: 'its row is missing',
    })
  }
  return { tier: 'log', records, gaps: [], next: from + BigInt(records.length), ...bounds }
}

function requireInRange(from: bigint, bounds: LogBounds): void {
  if (from < bounds.logStart || from > bounds.highWatermark)
    throw new HooktrailError('LOG_OFFSET_OUT_OF_RANGE', { from, ...bounds })
}

/** Offsets are contiguous: every append takes them in the transaction that inserts its rows. */
function firstMissing(records: readonly LogRecord[], from: bigint, highWatermark: bigint): bigint | null {
  if (records.length === 0) return from < highWatermark ? from : null
  const at = records.findIndex(({ offset }, index) => offset !== from + BigInt(index))
  return at === -1 ? null : from + BigInt(at)
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
