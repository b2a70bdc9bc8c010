/**
 * Expired leases: whether the request was sent nobody knows, so the attempt is recorded as `unknown`, and the job is
 * due again at once, or dead when its attempts are used up. A row that its sender is just finishing is passed over. A
 * running job is found by its due time, which is past: there is no index of leases that each take would have to keep.
 */
import type { Queryable } from '../database.ts'

const REAP = {
  name: 'jobs_reap',
  text: `WITH expired AS MATERIALIZED (
    SELECT job.* FROM (
      SELECT handler FROM handlers UNION ALL SELECT name FROM replays WHERE ended_at IS NULL
    ) AS h CROSS JOIN LATERAL (
      SELECT job_id, attempt >= max_attempts AS spent,
             (extract(epoch FROM now() - lease_until) * 1000)::real AS over_ms
        FROM jobs WHERE jobs.handler = h.handler AND due <= now() AND state = 'running' AND lease_until < now()
       ORDER BY due LIMIT $1::int4 FOR UPDATE SKIP LOCKED
    ) AS job WHERE (SELECT state FROM store) = 'ok' LIMIT $1::int4
  ), ended AS (
    DELETE FROM jobs USING expired WHERE jobs.job_id = expired.job_id AND spent RETURNING jobs.*, over_ms
  ), dead AS (
    INSERT INTO jobs_dead (created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id,
                           handler, source, event_type, topic, topic_id, last_error)
    SELECT created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id, handler, source,
           event_type, topic, topic_id, CASE last_error WHEN 'filter_error' THEN last_error ELSE 'unknown' END FROM ended
  ), again AS (
    UPDATE jobs SET state = 'retryable', due = now(), lease = NULL, lease_until = NULL,
                    last_error = CASE last_error WHEN 'filter_error' THEN last_error ELSE 'unknown' END
      FROM expired WHERE jobs.job_id = expired.job_id AND NOT spent RETURNING jobs.*, over_ms
  ), moved AS (
    SELECT job_id, event_id, handler, attempt, generation, over_ms, 'dead' AS next_state FROM ended
    UNION ALL SELECT job_id, event_id, handler, attempt, generation, over_ms, 'retryable' FROM again
  ), recorded AS (
    INSERT INTO attempts (job_id, event_id, handler, attempt, error_class, error_detail, total_ms, generation,
                          next_state, late)
    SELECT job_id, event_id, handler, attempt, 'unknown',
           'the lease expired ' || round(over_ms) || ' ms ago without an outcome', 0,
           coalesce(generation, ''), next_state, false FROM moved
    RETURNING 1
  ) SELECT count(*)::int4 AS reaped FROM recorded`,
}

export async function reapExpired(database: Queryable, limit: number): Promise<number> {
  const [row] = await database.query<{ reaped: number }>(REAP, [limit])
  return row?.reaped ?? 0
}
