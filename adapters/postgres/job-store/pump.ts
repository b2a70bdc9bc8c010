/**
 * Finds due jobs that no hint announces and marks them, so that each is announced once. The mark has no index: a take
 * clears it in the row version that it writes anyway, and one handler's due rows are few (delivery §1, bounds). The
 * commit does not wait for the disk: a mark that is lost costs a second hint.
 */
import type { PumpedHints, PumpRequest, PumpStore } from '../../../core/ports/pump-store.ts'
import type { Queryable } from '../database.ts'
import { int4Array, textArray } from '../sql.ts'

const PUMP = {
  name: 'jobs_pump',
  text: `WITH asked AS MATERIALIZED (
    SELECT a.handler, a.hints_max FROM unnest($1::text[], $2::int4[]) AS a (handler, hints_max)
      JOIN handlers h ON h.handler = a.handler AND h.status = 'active' AND h.breaker = 'closed'
     WHERE EXISTS (SELECT FROM store WHERE store.state = 'ok')
  ), due AS MATERIALIZED (
    SELECT job.row_id FROM asked CROSS JOIN LATERAL (
      SELECT jobs.ctid AS row_id FROM jobs
       WHERE jobs.handler = asked.handler AND due <= now() AND state <> 'running'
         AND (queued_until IS NULL OR queued_until <= now())
       ORDER BY due
       LIMIT greatest(0, asked.hints_max - (SELECT count(*) FROM (
         SELECT FROM jobs q WHERE q.handler = asked.handler AND q.due <= now() AND q.state <> 'running'
            AND q.queued_until > now() LIMIT asked.hints_max) AS queued))
         FOR UPDATE OF jobs SKIP LOCKED
    ) AS job
  ), pumped AS (
    UPDATE jobs SET queued_until = now() + $3::float8 * interval '1 millisecond'
     WHERE ctid = ANY (ARRAY(SELECT row_id FROM due))
    RETURNING handler, job_id, attempt + 1 AS attempt, partition_no, record_offset
  ), rest AS (
    SELECT bool_or(EXISTS (SELECT FROM jobs
             WHERE jobs.handler = asked.handler AND due <= now() AND state <> 'running'
               AND (queued_until IS NULL OR queued_until <= now()))) AS is_due,
           min((SELECT min(due) FROM jobs WHERE jobs.handler = asked.handler AND due > now())) AS next_due
      FROM asked
  ) SELECT pumped.handler, pumped.job_id AS "jobId", pumped.attempt, coalesce(rest.is_due, false) AS "isDue",
           (extract(epoch FROM rest.next_due - now()) * 1000)::float8 AS "nextDueMs",
           set_config('synchronous_commit', 'off', true)
      FROM rest LEFT JOIN pumped ON true ORDER BY partition_no, record_offset`,
}

interface PumpRow extends Record<string, unknown> {
  readonly handler: string | null
  readonly jobId: string | null
  readonly attempt: number | null
  readonly isDue: boolean
  readonly nextDueMs: number | null
}

const RESET = `WITH forgotten AS (
    UPDATE jobs SET queued_until = NULL WHERE queued_until > now() RETURNING 1
  ) SELECT count(*)::int4 AS forgotten FROM forgotten`

export function createPumpStore(database: Queryable): PumpStore {
  return {
    pumpDue: async (request) => readPump(await database.query(PUMP, valuesOf(request))),
    resetQueued: async () => {
      const [row] = await database.query<{ forgotten: number }>(RESET)
      return row?.forgotten ?? 0
    },
  }
}

function valuesOf({ windows, queuedMs }: PumpRequest): readonly unknown[] {
  return [
    textArray(windows.map(({ handler }) => handler)),
    int4Array(windows.map(({ hintsMax }) => hintsMax)),
    queuedMs,
  ]
}

/** Without a pumped job the statement answers one row that holds only the rest. */
function readPump(rows: readonly PumpRow[]): PumpedHints {
  const hints = rows.flatMap(({ handler, jobId, attempt }) =>
    handler === null || jobId === null || attempt === null ? [] : [{ handler, jobId, attempt }],
  )
  return { hints, isDue: rows[0]?.isDue ?? false, nextDueMs: rows[0]?.nextDueMs ?? null }
}
