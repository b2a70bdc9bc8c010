/**
 * SQL of the report's checks. Each returns rows of (eventId, place, reason), at most 100, and none while everything is
 * right, whatever flows meanwhile. $1 is the time from which on all slices are held: what was planned or finished
 * before has partly been dropped, and says nothing. '-infinity' while nothing has ever been dropped.
 * All take the parameter, also those that need no time.
 */
import { EVERY_JOB } from './report-sums.ts'

const LIMIT = 'LIMIT 100'
const STEP_PLACE = `CASE handler WHEN '' THEN 'the index' ELSE handler END || ' on ' || topic || '/' || partition_no`
const CHAIN = 'PARTITION BY handler, topic_id, partition_no ORDER BY first_offset, id'

const STEPS_ARE_GAPLESS = `
  SELECT NULL AS "eventId", ${STEP_PLACE} AS place,
         'a plan step begins at ' || first_offset || ', and the one before ended at ' || before AS reason
    FROM (SELECT *, lag(next_offset) OVER chain AS before, lag(created_at) OVER chain AS before_at
            FROM plan_steps WINDOW chain AS (${CHAIN})) AS s
   WHERE before <> first_offset AND before_at >= $1::timestamptz ${LIMIT}`

const STEPS_ADD_UP = `
  SELECT NULL AS "eventId", ${STEP_PLACE} AS place,
         'the counts of the plan step at ' || first_offset || ' do not cover its offsets' AS reason
    FROM plan_steps
   WHERE created_at >= $1::timestamptz AND (next_offset - first_offset <> (counts->>'planned')::int8
       + (counts->>'filtered')::int8 + (counts->>'duplicate')::int8 + (counts->>'expired')::int8
       + (counts->>'errors')::int8 + (counts->>'skipped')::int8 + (counts->>'lost')::int8
      OR (handler <> '' AND ((counts->>'planned')::int8 <> cardinality(planned)
                          OR (counts->>'errors')::int8 <> jsonb_array_length(dead_jobs)))) ${LIMIT}`

/** The ends of the chains: from where each position started to where it stands, and not beyond the log. */
const positionsArePlanned = (logEnds: string): string => `
  SELECT NULL AS "eventId", CASE p.handler WHEN '' THEN 'the index' ELSE p.handler END
           || ' on ' || coalesce(l.topic, p.topic_id) || '/' || p.partition_no AS place,
         CASE WHEN p.next_offset > l.next_offset
              THEN 'it stands at ' || p.next_offset || ', and the log ends at ' || l.next_offset
              ELSE 'it went from ' || p.start_offset || ' to ' || p.next_offset || ', and its plan steps from '
                || coalesce(s.low::text, 'nowhere') || ' to ' || coalesce(s.high::text, 'nowhere') END AS reason
    FROM positions p
    LEFT JOIN (SELECT handler, topic_id, partition_no, min(first_offset) AS low, max(next_offset) AS high,
                      max(created_at) AS newest
                 FROM plan_steps GROUP BY 1, 2, 3) AS s USING (handler, topic_id, partition_no)
    LEFT JOIN (${logEnds}) AS l USING (topic_id, partition_no)
   WHERE p.next_offset > coalesce(l.next_offset, p.next_offset)
      OR (p.handler = '' OR p.next_offset > p.start_offset) AND s.high <> p.next_offset
         AND s.newest >= $1::timestamptz
      OR $1::timestamptz = '-infinity' AND p.next_offset > p.start_offset
         AND (s.low IS DISTINCT FROM p.start_offset OR s.high IS DISTINCT FROM p.next_offset) ${LIMIT}`

/** The same for replays, of which a dry run has none. */
const REPLAYS_ARE_PLANNED = `
  SELECT NULL AS "eventId", g.name || ' on ' || r.topic || '/' || g.partition_no AS place,
         'it went from ' || g.first_offset || ' to ' || g.next_offset || ', and its plan steps from '
           || coalesce(s.low::text, 'nowhere') || ' to ' || coalesce(s.high::text, 'nowhere') AS reason
    FROM replays r JOIN replay_ranges g USING (name)
    LEFT JOIN (SELECT handler, topic_id, partition_no, min(first_offset) AS low, max(next_offset) AS high
                 FROM plan_steps GROUP BY 1, 2, 3) AS s
           ON s.handler = g.name AND s.topic_id = g.topic_id AND s.partition_no = g.partition_no
   WHERE g.next_offset > g.first_offset AND r.status IN ('running', 'paused') AND r.to_topic IS NULL AND r.created_at >= $1::timestamptz
     AND (s.low IS DISTINCT FROM g.first_offset OR s.high IS DISTINCT FROM g.next_offset) ${LIMIT}`

const PLANNED_HAVE_JOBS = `
  WITH planned AS MATERIALIZED (
    SELECT s.handler, s.topic_id, s.partition_no, u AS record_offset, NULL AS event_id
      FROM plan_steps s CROSS JOIN LATERAL unnest(s.planned) AS u
     WHERE s.handler <> '' AND s.created_at >= $1::timestamptz
  ), expected AS MATERIALIZED (
    SELECT p.handler, e.event_id FROM planned p JOIN events e USING (topic_id, partition_no, record_offset)
    UNION ALL
    SELECT s.handler, d->>'event_id' FROM plan_steps s CROSS JOIN LATERAL jsonb_array_elements(s.dead_jobs) AS d
     WHERE s.created_at >= $1::timestamptz
  ), every_job AS MATERIALIZED (${EVERY_JOB})
  SELECT x.event_id AS "eventId", x.handler AS place, 'it was planned, and there is no job' AS reason
    FROM expected x LEFT JOIN every_job j ON j.job_id = x.event_id || '.' || x.handler
   WHERE j.job_id IS NULL ${LIMIT}`

/**
 * The other way round: more jobs than were planned. Jobs of before are older than what is compared. After a recovery there
 * are jobs of replays whose plan steps were not brought back: those of one that is known are planned again, over them.
 */
const JOBS_ARE_PLANNED = `
  WITH planned AS MATERIALIZED (
    SELECT handler, topic_id, partition_no, unnest(planned) AS record_offset FROM plan_steps WHERE handler <> ''
  ), expected AS MATERIALIZED (
    SELECT e.event_id || '.' || p.handler AS job_id
      FROM planned p JOIN events e USING (topic_id, partition_no, record_offset)
    UNION ALL
    SELECT d->>'job_id' FROM plan_steps s CROSS JOIN LATERAL jsonb_array_elements(s.dead_jobs) AS d
  ), recent AS (
    SELECT job_id, event_id, handler FROM jobs WHERE created_at >= $1::timestamptz
    UNION ALL SELECT job_id, event_id, handler FROM jobs_done WHERE created_at >= $1::timestamptz
    UNION ALL SELECT job_id, event_id, handler FROM jobs_dead WHERE created_at >= $1::timestamptz)
  SELECT r.event_id AS "eventId", r.handler AS place, 'there is a job, and no plan step planned it' AS reason
    FROM recent r LEFT JOIN expected x USING (job_id)
   WHERE x.job_id IS NULL AND EXISTS (SELECT FROM events e WHERE e.event_id = r.event_id)
     AND (strpos(r.handler, '.') = 0
          OR EXISTS (SELECT FROM replays p WHERE p.name = r.handler AND p.ended_at IS NOT NULL)) ${LIMIT}`

const ONE_STATE = `
  WITH every_job AS (${EVERY_JOB})
  SELECT min(event_id) AS "eventId", min(handler) AS place,
         'the job is in several states: ' || string_agg(state, ', ' ORDER BY state) AS reason
    FROM every_job WHERE $1::timestamptz IS NOT NULL GROUP BY job_id HAVING count(*) > 1 ${LIMIT}`

const DELIVERED_HAVE_ATTEMPTS = `
  SELECT d.event_id AS "eventId", d.handler AS place, 'it was delivered, and no attempt says so' AS reason
    FROM jobs_done d
    LEFT JOIN (SELECT job_id FROM attempts WHERE next_state = 'completed') AS a USING (job_id)
   WHERE a.job_id IS NULL AND d.state = 'completed' AND d.completed_at >= $1::timestamptz ${LIMIT}`

const LOG_IS_CONTIGUOUS = `
  SELECT NULL AS "eventId", t.name || '/' || p.partition_no AS place,
         'the log goes from ' || p.log_start || ' to ' || p.next_offset || ', and holds ' || r.records
           || ' records' AS reason
    FROM log_topics t JOIN log_partitions p USING (topic_no)
   CROSS JOIN LATERAL (
     SELECT count(*) AS records, min(record_offset) AS low, max(record_offset) AS high FROM log_records r
      WHERE r.topic_no = p.topic_no AND r.partition_no = p.partition_no AND r.record_offset >= p.log_start) AS r
   WHERE $1::timestamptz IS NOT NULL AND (r.records <> p.next_offset - p.log_start
      OR r.records > 0 AND (r.low <> p.log_start OR r.high <> p.next_offset - 1)) ${LIMIT}`

/** What the log itself looks like is only known here where it lies in this database. */
export function checksOf(logEnds: string, isLogHere: boolean): readonly string[] {
  return [
    STEPS_ARE_GAPLESS,
    STEPS_ADD_UP,
    positionsArePlanned(logEnds),
    REPLAYS_ARE_PLANNED,
    PLANNED_HAVE_JOBS,
    JOBS_ARE_PLANNED,
    ONE_STATE,
    DELIVERED_HAVE_ATTEMPTS,
    ...(isLogHere ? [LOG_IS_CONTIGUOUS] : []),
  ]
}
