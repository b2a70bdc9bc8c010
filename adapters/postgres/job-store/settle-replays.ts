/**
 * What is over is said to be over: dry runs that are counted, replays with nothing left to plan or to deliver, cancelled
 * ones whose last request has ended. Any dispatcher may do it at any time. Whoever retries a dead job of a replay locks
 * its row, as this does before it looks for open jobs: a replay with a job is never ended.
 */
import type { Queryable } from '../database.ts'
import { textArray } from '../sql.ts'
import { RESULT } from './replay-columns.ts'

const LOCK = `SELECT name, replay_id AS "replayId", status FROM replays r
  WHERE ended_at IS NULL AND status IN ('counting', 'running', 'cancelled')
    AND (status = 'cancelled' OR NOT EXISTS (SELECT FROM replay_ranges g WHERE g.name = r.name AND next_offset < end_offset))
  ORDER BY name FOR UPDATE SKIP LOCKED`

const END = `WITH ended AS (
    UPDATE replays r SET ended_at = now(), result = ${RESULT}::jsonb
     WHERE name = ANY ($1::text[]) AND NOT EXISTS (SELECT FROM jobs WHERE jobs.handler = r.name)
       AND (status = 'running' OR NOT EXISTS (SELECT FROM jobs_dead d
                                               WHERE d.handler = r.name AND strpos(d.handler, '.') > 0))
    RETURNING name, replay_id, status, result
  ), told AS (
    INSERT INTO audit (actor, action, target, reason, details)
    SELECT 'hooktrail', 'replay.completed', replay_id, NULL, result FROM ended WHERE status = 'running'
  ), forgotten AS (
    DELETE FROM replay_seen WHERE name IN (SELECT name FROM ended)
  ) SELECT replay_id AS "replayId" FROM ended`

const DISCARD = `WITH open AS (
    DELETE FROM jobs WHERE handler = ANY ($1::text[]) AND state <> 'running'
    RETURNING created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, last_error
  ), dead AS (
    DELETE FROM jobs_dead WHERE handler = ANY ($1::text[]) AND strpos(handler, '.') > 0
    RETURNING created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, last_error
  ), gone AS (
    INSERT INTO jobs_done (created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, last_error,
                           state)
    SELECT *, 'discarded' FROM (SELECT * FROM open UNION ALL SELECT * FROM dead) AS each RETURNING 1
  ) SELECT count(*)::int4 AS discarded FROM gone`

/** Of cancelled replays, all that nobody is sending. */
export async function discardJobs(transaction: Queryable, names: readonly string[]): Promise<number> {
  const [row] = await transaction.query<{ discarded: number }>(DISCARD, [textArray(names)])
  return row?.discarded ?? 0
}

export async function settleReplays(transaction: Queryable): Promise<readonly string[]> {
  const locked = await transaction.query<{ name: string; status: string }>(LOCK)
  const namesOf = (...statuses: readonly string[]): readonly string[] =>
    locked.filter(({ status }) => statuses.includes(status)).map(({ name }) => name)
  const cancelled = namesOf('cancelled')
  if (cancelled.length > 0) await discardJobs(transaction, cancelled)
  const counted = namesOf('counting')
  if (counted.length > 0)
    await transaction.query("UPDATE replays SET status = 'counted' WHERE name = ANY ($1::text[])", [
      textArray(counted),
    ])
  const over = namesOf('running', 'cancelled')
  if (over.length === 0) return []
  const rows = await transaction.query<{ replayId: string }>(END, [textArray(over)])
  return rows.map(({ replayId }) => replayId)
}
