/**
 * Taking jobs of a replay: behind live traffic, within its rate, and never behind the commit of a pause or cancel. The
 * replay's row is locked first and judged again when somebody changed it meanwhile; takes of one replay come one after the
 * other, which is what makes its rate hold over all dispatchers. Other conditions on the handler belong into `allowed`.
 */
import type { TakenJob } from '../../../core/ports/delivery-store.ts'
import type { ReplayTake } from '../../../core/ports/replay-store.ts'
import type { Queryable } from '../database.ts'

/** What may have been saved up of a rate: so many seconds, and one job at least. */
const BURST_SECONDS = 1

const TAKE = {
  name: 'replays_take',
  text: `WITH allowed AS MATERIALIZED (
    SELECT r.name, r.per_second,
           greatest(r.paced_to, now() - greatest(${BURST_SECONDS}, 1 / r.per_second) * interval '1 second') AS paced_to
      FROM replays r JOIN handlers h ON h.handler = r.handler AND h.status = 'active' AND h.breaker = 'closed'
     WHERE r.name = $1 AND r.status = 'running' AND EXISTS (SELECT FROM store WHERE store.state = 'ok')
       AND NOT EXISTS (SELECT FROM jobs AS live
                        WHERE live.handler = r.handler AND live.due <= now() AND live.state <> 'running')
       FOR NO KEY UPDATE OF r
  ), room AS MATERIALIZED (
    SELECT name, CASE WHEN per_second IS NULL THEN $4::int8
           ELSE least($4::int8, greatest(0, floor(extract(epoch FROM now() - paced_to) * per_second)::int8)) END AS jobs FROM allowed
  ), taken AS (
    UPDATE jobs SET state = 'running', attempt = attempt + 1, lease = gen_random_uuid(),
                    lease_until = now() + $2::float8 * interval '1 millisecond', queued_until = NULL, generation = $3
     WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM jobs WHERE handler = (SELECT name FROM room) AND state <> 'running' AND due <= now()
        ORDER BY due LIMIT (SELECT jobs FROM room) FOR UPDATE OF jobs SKIP LOCKED))
    RETURNING job_id AS "jobId", event_id AS "eventId", handler, source, event_type AS "eventType", topic,
              topic_id AS "topicId", partition_no AS partition, record_offset AS offset, attempt,
              max_attempts AS "maxAttempts", lease, (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs",
              last_error AS "lastError"
  ), paced AS (
    UPDATE replays r SET paced_to = allowed.paced_to + (SELECT count(*) FROM taken) / r.per_second * interval '1 second'
      FROM allowed WHERE r.name = allowed.name AND r.per_second IS NOT NULL AND EXISTS (SELECT FROM taken)
  ) SELECT * FROM taken ORDER BY partition, "offset"`,
}

export function takeReplayed(
  database: Queryable,
  { name, slots, leaseMs, generation }: ReplayTake,
): Promise<readonly TakenJob[]> {
  return database.query<TakenJob & Record<string, unknown>>(TAKE, [name, leaseMs, generation, slots])
}
