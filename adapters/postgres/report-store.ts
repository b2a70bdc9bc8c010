/** The report's sums, read in one snapshot: plan steps, jobs and attempts, and the jobs where they do not agree. */
import type { ReportSums, ReportStore, ReportWindow } from '../../core/ports/report-store.ts'
import type { Database, Queryable } from './pool.ts'

const BY_HANDLER = `
  WITH every_job AS (
    SELECT job_id, event_id, handler, source, state AS state FROM jobs
    UNION ALL SELECT job_id, event_id, handler, source, 'completed' FROM jobs_done
    UNION ALL SELECT job_id, event_id, handler, source, 'dead' FROM jobs_dead)
  SELECT j.source, j.handler, count(*)::float8 AS planned,
         count(*) FILTER (WHERE j.state = 'completed')::float8 AS delivered,
         count(*) FILTER (WHERE j.state = 'dead')::float8 AS dead,
         count(*) FILTER (WHERE j.state NOT IN ('completed', 'dead'))::float8 AS "inProgress"
    FROM every_job j JOIN (SELECT DISTINCT event_id, received_at_ms FROM events) e USING (event_id)
   WHERE e.received_at_ms >= $1::float8 AND e.received_at_ms < $2::float8
   GROUP BY 1, 2 ORDER BY 1, 2`

const BY_SOURCE = `
  SELECT source, count(*)::float8 AS received,
         count(*) FILTER (WHERE original_id IS NOT NULL)::float8 AS duplicate,
         count(*) FILTER (WHERE conflict)::float8 AS conflict
    FROM events WHERE received_at_ms >= $1::float8 AND received_at_ms < $2::float8 GROUP BY 1 ORDER BY 1`

/** A planned offset whose job is in no table, a completed job without a clean attempt, a job in two tables. */
const DISAGREEING = `
  WITH every_job AS (
    SELECT job_id, event_id FROM jobs UNION ALL SELECT job_id, event_id FROM jobs_done
    UNION ALL SELECT job_id, event_id FROM jobs_dead),
  planned AS (
    SELECT s.handler, e.event_id FROM plan_steps s CROSS JOIN LATERAL unnest(s.planned) AS o(record_offset)
      JOIN events e ON e.topic_id = s.topic_id AND e.partition_no = s.partition_no
                   AND e.record_offset = o.record_offset
     WHERE s.handler <> '' AND e.received_at_ms >= $1::float8 AND e.received_at_ms < $2::float8)
  SELECT event_id AS "eventId", 'planned for ' || handler || ', and there is no job' AS reason FROM planned p
   WHERE NOT EXISTS (SELECT FROM every_job j WHERE j.job_id = p.event_id || '.' || p.handler)
  UNION ALL
  SELECT d.event_id, 'delivered to ' || d.handler || ', and no attempt says so' FROM jobs_done d
   WHERE NOT EXISTS (SELECT FROM attempts a WHERE a.job_id = d.job_id AND a.next_state = 'completed')
  UNION ALL
  SELECT min(event_id), 'job ' || job_id || ' is in two states' FROM every_job GROUP BY job_id HAVING count(*) > 1
  LIMIT 100`

export function createReportStore(database: Database): ReportStore {
  return {
    sums: (window) =>
      database.transaction(async (transaction) => {
        await transaction.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
        return readSums(transaction, window)
      }),
  }
}

async function readSums(transaction: Queryable, { sinceMs, untilMs }: ReportWindow): Promise<ReportSums> {
  const window = [sinceMs, untilMs]
  const sources = await transaction.query<ReportSums['sources'][number] & Record<string, unknown>>(
    BY_SOURCE,
    window,
  )
  const handlers = await transaction.query<ReportSums['handlers'][number] & Record<string, unknown>>(
    BY_HANDLER,
    window,
  )
  const disagreeing = await transaction.query<ReportSums['disagreeing'][number] & Record<string, unknown>>(
    DISAGREEING,
    window,
  )
  return { sources, handlers, disagreeing }
}
