/**
 * Replays that nobody needs any more: those that are over and have no dead letter left, as long after their end as dead
 * letters are kept; dry runs that nobody resumed. Their audit rows and plan steps stay where those are.
 */
import type { Queryable } from '../database.ts'

const DRY_RUN_DAYS = 7

const PURGE = `WITH old AS (
    SELECT name FROM replays r
     WHERE (ended_at < now() - $1::float8 * interval '1 hour'
            AND NOT EXISTS (SELECT FROM jobs_dead d WHERE d.handler = r.name AND strpos(d.handler, '.') > 0))
        OR (status = 'counted' AND created_at < now() - ${DRY_RUN_DAYS} * interval '1 day')
     FOR UPDATE SKIP LOCKED
  ), ranges AS (
    DELETE FROM replay_ranges WHERE name IN (SELECT name FROM old)
  ), seen AS (
    DELETE FROM replay_seen WHERE name IN (SELECT name FROM old)
  ) DELETE FROM replays WHERE name IN (SELECT name FROM old)`

export async function purgeReplays(database: Queryable, deadHours: number): Promise<void> {
  await database.query(PURGE, [deadHours])
}
