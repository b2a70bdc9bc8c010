/**
 * What the "Resend" button of a sender is for: a repetition of an event whose job is dead or discarded makes that job
 * available again, with its history and the handler's budget on top, in the transaction that plans the repetition and
 * with an audit row (I9). An open or delivered job stays as it is. A dead job has its pointer, a discarded one is found
 * again by its id, which first_seen holds as long as a repetition is known as one.
 */
import type { Revival, StepDecision, StepRequest } from '../../../core/ports/plan-store.ts'
import type { Queryable } from '../database.ts'
import { int4Array, textArray } from '../sql.ts'

const BACK = `created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, last_error`

const REVIVE = {
  name: 'jobs_revive',
  text: `WITH asked AS MATERIALIZED (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int4[]) AS a (job_id, repetition, budget)
  ), dead AS (
    DELETE FROM jobs_dead WHERE job_id = ANY ($1::text[]) RETURNING ${BACK}, topic, topic_id, partition_no, record_offset
  ), discarded AS (
    DELETE FROM jobs_done WHERE job_id = ANY ($1::text[]) AND state = 'discarded'
       AND EXISTS (SELECT FROM first_seen WHERE first_seen.event_id = jobs_done.event_id)
    RETURNING ${BACK}
  ), gone AS (
    SELECT * FROM dead UNION ALL
    SELECT discarded.*, $4, seen.topic_id, seen.partition_no, seen.record_offset
      FROM discarded JOIN first_seen AS seen USING (event_id)
  ), again AS (
    INSERT INTO jobs (created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, last_error, topic,
                      topic_id, partition_no, record_offset)
    SELECT created_at, attempt, greatest(attempt, max_attempts) + asked.budget, job_id, event_id, handler, source,
           event_type, last_error, topic, topic_id, partition_no, record_offset FROM gone JOIN asked USING (job_id)
    RETURNING job_id, handler
  ), told AS (
    INSERT INTO audit (actor, action, target, reason, details)
    SELECT 'hooktrail', 'job.revive', job_id, 'the sender sent the event again',
           jsonb_build_object('job_id', job_id, 'budget', asked.budget, 'event_id', asked.repetition)
      FROM again JOIN asked USING (job_id)
  ) SELECT DISTINCT handler FROM again`,
}

/** Names of the handlers that have a job again. */
export async function reviveJobs(
  transaction: Queryable,
  { claims, topic }: StepRequest,
  { revivals = [] }: StepDecision,
): Promise<readonly string[]> {
  if (revivals.length === 0) return []
  const own = new Set(claims.map(({ eventId }) => eventId))
  const byJob = new Map<string, Revival>()
  for (const revival of revivals)
    if (!own.has(revival.originalEventId)) byJob.set(`${revival.originalEventId}.${revival.handler}`, revival)
  if (byJob.size === 0) return []
  const asked = [...byJob.values()]
  const rows = await transaction.query<{ handler: string }>(REVIVE, [
    textArray([...byJob.keys()]),
    textArray(asked.map(({ eventId }) => eventId)),
    int4Array(asked.map(({ budget }) => budget)),
    topic,
  ])
  return rows.map(({ handler }) => handler)
}
