/**
 * Outcomes of a batch in one statement: a job moves on only where the attempt's lease still holds (the DELETE or UPDATE
 * is the fence), else its attempt is late. An outcome that is handed in again writes nothing: its attempt is there, by
 * its lease, or by its number where a recovery brought it back (xid 0), unless that says that nobody knows the outcome. A handler that an outcome disables is disabled with its audit row in the same statement, also where the job
 * is of a replay (core/replay/replay-name.ts).
 */
import type { AttemptOutcome } from '../../../core/ports/delivery-store.ts'
import type { Queryable } from '../database.ts'
import { byteaArray, int4Array } from '../sql.ts'
import { texts } from './columns.ts'

const RECORD = {
  name: 'jobs_record_outcomes',
  text: `WITH outcome AS (
    SELECT * FROM unnest($1::text[], $2::text[]::uuid[], $3::text[], $4::text[], $5::int4[], $6::text[]::int4[],
                         $7::text[], $8::text[], $9::text[]::real[], $10::text[]::real[], $11::text[]::real[],
                         $12::text[]::real[], $13::text[]::real[], $14::text[], $15::bytea[], $16::bytea[],
                         $17::text[], $18::text[], $19::text[]::float8[], $20::int4[])
      WITH ORDINALITY AS o (job_id, lease, event_id, handler, attempt, status_code, error_class, error_detail,
        total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, remote_address, response_body, request_digest,
        generation, next_state, delay_ms, disable, no)
  ), ended AS (
    DELETE FROM jobs USING outcome o
     WHERE jobs.job_id = o.job_id AND jobs.lease = o.lease AND o.next_state <> 'retryable'
    RETURNING jobs.*, o.no, o.next_state, o.error_class
  ), done AS (
    INSERT INTO jobs_done (created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type)
    SELECT created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type
      FROM ended WHERE next_state = 'completed'
  ), dead AS (
    INSERT INTO jobs_dead (created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id,
                           handler, source, event_type, topic, topic_id, last_error)
    SELECT created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id, handler, source,
           event_type, topic, topic_id, error_class
      FROM ended WHERE next_state = 'dead'
  ), again AS (
    UPDATE jobs SET state = 'retryable', due = now() + o.delay_ms * interval '1 millisecond', lease = NULL,
                    lease_until = NULL, last_error = o.error_class
      FROM outcome o
     WHERE jobs.job_id = o.job_id AND jobs.lease = o.lease AND o.next_state = 'retryable'
    RETURNING o.no
  ), moved AS (
    SELECT no FROM ended UNION ALL SELECT no FROM again
  ), recorded AS (
    INSERT INTO attempts (job_id, event_id, handler, attempt, status_code, error_class, error_detail, total_ms,
      dns_ms, connect_ms, tls_ms, first_byte_ms, remote_address, response_body, request_digest, generation,
      next_state, late, lease)
    SELECT job_id, event_id, handler, attempt, status_code, error_class, error_detail, total_ms, dns_ms,
      connect_ms, tls_ms, first_byte_ms, remote_address, response_body, request_digest, generation,
      CASE WHEN moved.no IS NOT NULL THEN next_state END, moved.no IS NULL, lease
      FROM outcome o LEFT JOIN moved USING (no)
     WHERE moved.no IS NOT NULL
        OR NOT EXISTS (SELECT FROM attempts a WHERE a.job_id = o.job_id
               AND (a.lease = o.lease OR a.xid = '0' AND a.attempt = o.attempt AND a.next_state IS NOT NULL
                                         AND a.error_class IS DISTINCT FROM 'unknown'))
    RETURNING job_id, late
  ), disabled AS (
    UPDATE handlers h SET status = 'disabled', status_reason = cause.reason
      FROM (SELECT DISTINCT ON (handler) handler, job_id,
                   left(concat_ws(': ', coalesce(error_class, 'unknown'), error_detail), 200) AS reason
              FROM outcome JOIN moved USING (no) WHERE disable = 1 ORDER BY handler, no) AS cause
     WHERE h.handler = split_part(cause.handler, '.', 1) AND h.status <> 'disabled'
    RETURNING h.handler, cause.reason, cause.job_id
  ), audited AS (
    INSERT INTO audit (actor, action, target, reason, details)
    SELECT 'hooktrail', 'handler_disabled', handler, reason, jsonb_build_object('job_id', job_id)
      FROM disabled
  ) SELECT job_id AS "jobId" FROM recorded WHERE late`,
}

export async function recordBatch(
  database: Queryable,
  outcomes: readonly AttemptOutcome[],
): Promise<readonly string[]> {
  const rows = await database.query<{ jobId: string }>(RECORD, [
    texts(outcomes, ({ job }) => job.jobId),
    texts(outcomes, ({ job }) => job.lease),
    texts(outcomes, ({ job }) => job.eventId),
    texts(outcomes, ({ job }) => job.handler),
    int4Array(outcomes.map(({ job }) => job.attempt)),
    numbers(outcomes, ({ statusCode }) => statusCode),
    texts(outcomes, ({ errorClass }) => errorClass),
    texts(outcomes, ({ errorDetail }) => errorDetail),
    numbers(outcomes, ({ timings }) => timings.totalMs),
    numbers(outcomes, ({ timings }) => timings.dnsMs),
    numbers(outcomes, ({ timings }) => timings.connectMs),
    numbers(outcomes, ({ timings }) => timings.tlsMs),
    numbers(outcomes, ({ timings }) => timings.firstByteMs),
    texts(outcomes, ({ remoteAddress }) => remoteAddress),
    byteaArray(outcomes.map(({ responseBody }) => responseBody)),
    byteaArray(outcomes.map(({ requestDigest }) => requestDigest)),
    texts(outcomes, ({ generation }) => generation),
    texts(outcomes, ({ next }) => next.state),
    numbers(outcomes, ({ next }) => (next.state === 'retryable' ? next.delayMs : null)),
    int4Array(
      outcomes.map(({ next }) => (next.state !== 'completed' && next.disableHandler === true ? 1 : 0)),
    ),
  ])
  return rows.map(({ jobId }) => jobId)
}

function numbers(
  outcomes: readonly AttemptOutcome[],
  read: (outcome: AttemptOutcome) => number | null,
): Buffer {
  return texts(outcomes, (outcome) => {
    const value = read(outcome)
    return value === null ? null : String(value)
  })
}
