/**
 * What the index said of records when it planned them: the rows of events, kept for `worker.retention_hours`. A handler that
 * is planned later gets the same verdicts, whoever has claimed the keys since.
 */
import type { StepRequest, Verdict } from '../../../core/ports/plan-store.ts'
import type { Queryable } from '../database.ts'
import { int8Array } from '../sql.ts'
import { texts } from './columns.ts'

interface IndexedRow extends Record<string, unknown> {
  readonly offset: bigint
  readonly originalId: string | null
  readonly conflict: boolean
}

/** A record is planned after the log took it, by two clocks that may differ by so much: older slices are not opened. */
const CLOCKS_APART_MS = 86_400_000n

/** LIMIT keeps Postgres from making this a join that could read whole slices. */
const READ_INDEXED = {
  name: 'jobs_read_indexed',
  text: `SELECT c.record_offset AS offset, one.original_id AS "originalId", one.conflict
           FROM unnest($3::text[], $4::int8[]) AS c (event_id, record_offset)
          CROSS JOIN LATERAL (
            SELECT original_id, conflict FROM events AS e
             WHERE e.event_id = c.event_id AND e.record_offset = c.record_offset
               AND e.topic_id = $1 AND e.partition_no = $2::int4
               AND e.indexed_at >= to_timestamp($5::float8 / 1000) LIMIT 1) AS one`,
}

/** By offset; without those of which there is no row any more. */
export async function readIndexed(
  transaction: Queryable,
  { topicId, partition, claims }: StepRequest,
): Promise<ReadonlyMap<bigint, Verdict>> {
  const [oldest] = claims.map(({ timestampMs }) => timestampMs).sort((a, b) => Number(a - b))
  if (oldest === undefined) return new Map()
  const rows = await transaction.query<IndexedRow>(READ_INDEXED, [
    topicId,
    partition,
    texts(claims, ({ eventId }) => eventId),
    int8Array(claims.map(({ offset }) => offset)),
    (oldest - CLOCKS_APART_MS).toString(),
  ])
  return new Map(rows.map((row) => [row.offset, verdictOf(row)]))
}

function verdictOf({ originalId, conflict }: IndexedRow): Verdict {
  return originalId === null
    ? { kind: 'first' }
    : { kind: 'duplicate', originalEventId: originalId, conflict }
}
