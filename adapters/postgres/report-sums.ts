/** SQL of the report's sums. $1 and $2 are the window of the event's receipt; infinite where it is open. */
export const EVERY_JOB = `
  SELECT job_id, event_id, handler, source, state FROM jobs
  UNION ALL SELECT job_id, event_id, handler, source, state FROM jobs_done
  UNION ALL SELECT job_id, event_id, handler, source, 'dead' FROM jobs_dead`

const IN_WINDOW = 'e.received_at_ms >= $1::float8 AND e.received_at_ms < $2::float8'

export const BY_SOURCE = `
  SELECT source, count(*)::float8 AS received,
         count(*) FILTER (WHERE original_id IS NOT NULL)::float8 AS duplicate,
         count(*) FILTER (WHERE conflict)::float8 AS conflict
    FROM events e WHERE ${IN_WINDOW} GROUP BY 1 ORDER BY 1`

/** Of all steps, or with a window of those between the first and the last offset of its events in each partition. */
export const BY_STEP = `
  WITH span AS MATERIALIZED (
    SELECT topic_id, partition_no, min(record_offset) AS low, max(record_offset) AS high
      FROM events e WHERE ${IN_WINDOW} GROUP BY 1, 2)
  SELECT substr(s.topic, strpos(s.topic, '.events.') + 8) AS source, s.handler,
         sum((counts->>'filtered')::int8)::float8 AS filtered,
         sum((counts->>'duplicate')::int8)::float8 AS duplicate,
         sum((counts->>'expired')::int8)::float8 AS expired,
         sum((counts->>'lost')::int8)::float8 AS lost
    FROM plan_steps s
   WHERE ($1::float8 = '-infinity' AND $2::float8 = 'infinity')
      OR EXISTS (SELECT FROM span WHERE span.topic_id = s.topic_id AND span.partition_no = s.partition_no
                    AND s.next_offset > span.low AND s.first_offset <= span.high)
   GROUP BY 1, 2 ORDER BY 1, 2`

/**
 * A window needs the event's time, and so its row; without one every job counts, however old its event is. What is
 * planned is unnested before it is joined: joined by partition alone, each step would meet all events.
 */
export function byHandler(isOpen: boolean): string {
  const known = isOpen ? 'true' : 'EXISTS (SELECT FROM inside WHERE inside.event_id = j.event_id)'
  const within = isOpen ? '' : 'JOIN inside USING (topic_id, partition_no, record_offset)'
  return `
  WITH inside AS MATERIALIZED (
    SELECT source, event_id, topic_id, partition_no, record_offset FROM events e WHERE ${IN_WINDOW}
  ), every_job AS (${EVERY_JOB}), decided AS MATERIALIZED (
    SELECT s.topic, s.topic_id, s.partition_no, s.handler, o.record_offset, o.planned
      FROM plan_steps s CROSS JOIN LATERAL (
        SELECT u AS record_offset, 1 AS planned FROM unnest(s.planned) AS u
        UNION ALL SELECT (d->>'offset')::int8, 0 FROM jsonb_array_elements(s.dead_jobs) AS d) AS o
     WHERE s.handler <> ''
  ), parts AS (
    SELECT source, handler, 0 AS planned, 0 AS errors, (state = 'completed')::int AS delivered,
           (state = 'dead')::int AS dead, (state = 'discarded')::int AS discarded,
           (state IN ('available', 'running', 'retryable'))::int AS open, 0 AS waiting
      FROM every_job j WHERE ${known}
    UNION ALL
    SELECT substr(topic, strpos(topic, '.events.') + 8), handler, planned, 1 - planned, 0, 0, 0, 0, 0
      FROM decided ${within}
    UNION ALL
    SELECT inside.source, p.handler, 0, 0, 0, 0, 0, 0, 1
      FROM positions p JOIN inside USING (topic_id, partition_no)
     WHERE p.handler <> '' AND inside.record_offset >= p.next_offset)
  SELECT source, handler, sum(planned)::float8 AS planned, sum(errors)::float8 AS errors,
         sum(delivered)::float8 AS delivered, sum(dead)::float8 AS dead, sum(discarded)::float8 AS discarded,
         sum(open)::float8 AS open, sum(waiting)::float8 AS waiting
    FROM parts GROUP BY 1, 2 ORDER BY 1, 2`
}

/** `logEnds`: see report-log-ends.ts. */
export function partitions(logEnds: string): string {
  return `
  SELECT l.topic, l.topic_id AS "topicId", l.partition_no AS partition, l.log_start AS "logStart",
         l.next_offset AS "highWatermark", i.next_offset AS indexed
    FROM (${logEnds}) AS l
    LEFT JOIN positions i ON i.handler = '' AND i.topic_id = l.topic_id AND i.partition_no = l.partition_no
   ORDER BY l.topic COLLATE "C", l.partition_no`
}
