/**
 * First sights that no verdict can need any more: older than what the log still holds, and the dedup window. Bounded
 * batches, each its own transaction; rows that a planner holds are passed over until the next time.
 */
import type { Queryable } from '../database.ts'

const BATCH_ROWS_MAX = 5_000
const BATCHES_MAX = 2_000

const PURGE = {
  name: 'jobs_purge_first_seen',
  text: `WITH purged AS (
    DELETE FROM first_seen WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM first_seen WHERE timestamp_ms < (extract(epoch FROM now()) * 1000)::int8 - $1::int8
       ORDER BY timestamp_ms LIMIT $2::int4 FOR UPDATE SKIP LOCKED))
    RETURNING 1
  ) SELECT count(*)::int4 AS purged FROM purged`,
}

export async function purgeFirstSeen(database: Queryable, olderThanMs: number): Promise<void> {
  for (let batch = 0; batch < BATCHES_MAX; batch++) {
    const [row] = await database.query<{ purged: number }>(PURGE, [Math.ceil(olderThanMs), BATCH_ROWS_MAX])
    if ((row?.purged ?? 0) < BATCH_ROWS_MAX) return
  }
}
