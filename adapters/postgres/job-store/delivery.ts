/**
 * Taking jobs and giving them back. The taken row, with its lease as the fencing token, is the intent to send: two
 * takers never get one job, because a row that somebody else has locked is passed over.
 */
import type { Logger } from '../../../core/log.ts'
import type { DeliveryStore, TakenJob, TakeResult } from '../../../core/ports/delivery-store.ts'
import type { Queryable } from '../database.ts'
import { int4Array } from '../sql.ts'
import { texts } from './columns.ts'
import { recordOutcomes } from './record-outcomes.ts'
import { reapExpired } from './reap.ts'

type TakeRow = Partial<TakenJob> & Record<string, unknown> & { readonly nextDueMs: number | null }

const CLOSED = `h.breaker = 'closed'`

/**
 * `pick` selects the ctid of due rows, `breaker` says when the handler's lets them go; $1 handler, $2 lease in
 * milliseconds, $3 generation.
 */
function takeText(pick: string, breaker = CLOSED): string {
  const admitted = `EXISTS (SELECT FROM handlers h WHERE h.handler = $1 AND h.status = 'active' AND ${breaker})
          AND EXISTS (SELECT FROM store WHERE store.state = 'ok')`
  return `WITH taken AS (
    UPDATE jobs SET state = 'running', attempt = attempt + 1, lease = gen_random_uuid(),
                    lease_until = now() + $2::float8 * interval '1 millisecond', queued_until = NULL, generation = $3
     WHERE ctid = ANY (ARRAY(
       SELECT ctid FROM jobs
        WHERE handler = $1 AND state <> 'running' AND due <= now()
          AND ${admitted} ${pick} FOR UPDATE OF jobs SKIP LOCKED))
    RETURNING job_id AS "jobId", event_id AS "eventId", handler, source, event_type AS "eventType", topic,
              topic_id AS "topicId", partition_no AS partition, record_offset AS offset, attempt,
              max_attempts AS "maxAttempts", lease, (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs",
              last_error AS "lastError"
  ) SELECT taken.*, upcoming."nextDueMs"
      FROM (SELECT (extract(epoch FROM min(due) - now()) * 1000)::float8 AS "nextDueMs" FROM jobs
             WHERE handler = $1 AND state <> 'running' AND due > now() AND ${admitted}) AS upcoming
      LEFT JOIN taken ON true ORDER BY partition, "offset"`
}

const TAKE_DUE = { name: 'jobs_take_due', text: takeText('ORDER BY due LIMIT $4::int4') }
const TAKE_BY_IDS = { name: 'jobs_take_ids', text: takeText('AND job_id = ANY ($4::text[]) ORDER BY job_id') }

const TAKE_PROBES = {
  name: 'jobs_take_probes',
  text: takeText(
    'ORDER BY due LIMIT $4::int4',
    `h.breaker = 'probing' AND h.breaker_version = $5::int8 AND h.breaker_until > now()`,
  ),
}

const GIVE_BACK = {
  name: 'jobs_give_back',
  text: `UPDATE jobs SET state = CASE WHEN jobs.attempt > 1 THEN 'retryable' ELSE 'available' END,
                attempt = jobs.attempt - 1, due = now() + back.delay_ms * interval '1 millisecond',
                lease = NULL, lease_until = NULL,
                last_error = CASE jobs.last_error WHEN 'filter_error' THEN jobs.last_error ELSE back.reason END
           FROM unnest($1::text[], $2::text[], $3::int4[], $4::text[]) AS back (job_id, lease, delay_ms, reason)
          WHERE jobs.job_id = back.job_id AND jobs.lease = back.lease::uuid`,
}

export function createDeliveryStore(database: Queryable, logger: Logger): DeliveryStore {
  return {
    takeDue: async ({ handler, slots, leaseMs, generation }) =>
      readTake(await database.query(TAKE_DUE, [handler, leaseMs, generation, slots])),
    takeByIds: async ({ handler, jobIds, leaseMs, generation }) =>
      readTake(
        await database.query(TAKE_BY_IDS, [handler, leaseMs, generation, texts(jobIds, (jobId) => jobId)]),
      ),
    takeProbes: async ({ handler, version, slots, leaseMs, generation }) => {
      const values = [handler, leaseMs, generation, slots, version.toString()]
      return readTake(await database.query(TAKE_PROBES, values)).jobs
    },
    giveBack: async (jobs) => {
      if (jobs.length === 0) return
      await database.query(GIVE_BACK, [
        texts(jobs, ({ jobId }) => jobId),
        texts(jobs, ({ lease }) => lease),
        int4Array(jobs.map(({ delayMs }) => Math.ceil(delayMs))),
        texts(jobs, ({ reason }) => reason),
      ])
    },
    recordOutcomes: (outcomes) => recordOutcomes(database, outcomes, logger),
    reapExpired: (limit) => reapExpired(database, limit),
  }
}

function readTake(rows: readonly TakeRow[]): TakeResult {
  const nextDueMs = rows[0]?.nextDueMs ?? null
  return { jobs: rows.filter(isTaken), nextDueMs }
}

/** Without a taken job the statement answers one row that holds only the next due time. */
function isTaken(row: TakeRow): row is TakeRow & TakenJob {
  return typeof row.jobId === 'string'
}
