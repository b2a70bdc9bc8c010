/**
 * What operators see and do: pages of events and jobs (newest first: ids begin with their time), attempts, handlers,
 * and (in dead-letters.ts) what is done with dead jobs. Pages go on by the last id of the page before.
 */
import type {
  AttemptView,
  EventFilter,
  EventView,
  HandlerView,
  JobFilter,
  JobView,
  OperatorStore,
  Page,
} from '../../../core/ports/operator-store.ts'
import type { AuditEntry } from '../../../core/ports/dead-letter-store.ts'
import type { Database, Queryable } from '../database.ts'
import { cleanText, jsonText } from './columns.ts'
import { createDeadLetterStore } from './dead-letters.ts'
import { servedText } from './serving.ts'

const EVENT = `event_id AS "eventId", source, type, subject, received_at_ms::float8 AS "createdAtMs", topic,
  topic_id AS "topicId", partition_no AS partition, record_offset AS offset, unique_key AS "uniqueKey",
  size_bytes AS "sizeBytes", CASE WHEN original_id IS NULL THEN 'first' ELSE 'duplicate' END AS verdict,
  original_id AS "originalEventId", conflict`

const EVERY_JOB = `(
  SELECT job_id, event_id, handler, source, event_type, state, attempt, max_attempts, due, last_error, created_at,
         NULL::timestamptz AS completed_at FROM jobs
  UNION ALL
  SELECT job_id, event_id, handler, source, event_type, state, attempt, max_attempts, NULL, last_error, created_at,
         completed_at FROM jobs_done
  UNION ALL
  SELECT job_id, event_id, handler, source, event_type, 'dead', attempt, max_attempts, NULL, last_error, created_at,
         completed_at FROM jobs_dead) AS every_job`

const JOB = `job_id AS "jobId", event_id AS "eventId", handler, source, event_type AS "eventType", state, attempt,
  max_attempts AS "maxAttempts", (extract(epoch FROM due) * 1000)::float8 AS "scheduledAtMs",
  last_error AS "lastError", (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs",
  (extract(epoch FROM completed_at) * 1000)::float8 AS "completedAtMs"`

const ATTEMPT = `incarnation || '.' || id AS "attemptId", job_id AS "jobId", event_id AS "eventId", handler, attempt,
  status_code AS "statusCode", total_ms AS "durationMs", error_class AS "errorClass", error_detail AS "errorDetail",
  json_build_object('totalMs', total_ms, 'dnsMs', dns_ms, 'connectMs', connect_ms, 'tlsMs', tls_ms,
    'firstByteMs', first_byte_ms) AS timings, remote_address AS "remoteAddress", late,
  response_body AS "responseBody", (extract(epoch FROM created_at) * 1000)::float8 AS "createdAtMs"`

const HANDLERS = {
  name: 'jobs_handlers',
  text: `SELECT handler, source, status, status_reason AS "statusReason", dispatchers,
                breaker, breaker_reason AS "breakerReason",
                (extract(epoch FROM breaker_since) * 1000)::float8 AS "breakerSinceMs",
                (extract(epoch FROM unserved_since) * 1000)::float8 AS "unservedSinceMs"
           FROM handlers JOIN (${servedText('dispatchers')}) AS served USING (handler) ORDER BY handler`,
}

export const ATTEMPTS_MAX = 1_000

type Row<T> = T & Record<string, unknown>

export function createOperatorStore(database: Database): OperatorStore {
  return {
    listEvents: (filter) => listEvents(database, filter),
    getEvent: async (eventId) => {
      const rows = await database.query<Row<EventView>>(
        `SELECT ${EVENT} FROM events WHERE event_id = $1 ORDER BY indexed_at LIMIT 1`,
        [cleanText(eventId)],
      )
      return rows[0] ?? null
    },
    listJobs: (filter) => listJobs(database, filter),
    getJob: async (jobId) => {
      const rows = await database.query<Row<JobView>>(
        `SELECT ${JOB} FROM ${EVERY_JOB} WHERE job_id = $1 LIMIT 1`,
        [cleanText(jobId)],
      )
      return rows[0] ?? null
    },
    listAttempts: (jobId) =>
      database.query<Row<AttemptView>>(
        `SELECT ${ATTEMPT} FROM attempts WHERE job_id = $1 ORDER BY created_at, id LIMIT ${ATTEMPTS_MAX}`,
        [cleanText(jobId)],
      ),
    handlers: () => database.query<Row<HandlerView>>(HANDLERS),
    ...createDeadLetterStore(database, isKnown),
    setHandlerStatus: (name, status, audit) =>
      database.transaction((transaction) => setHandlerStatus(transaction, { name, status, audit })),
    writeAudit: (entry) => writeAudit(database, entry),
  }
}

async function isKnown(transaction: Queryable, jobId: string): Promise<boolean> {
  return (await transaction.query(`SELECT 1 FROM ${EVERY_JOB} WHERE job_id = $1`, [jobId])).length > 0
}

async function listEvents(database: Queryable, filter: EventFilter): Promise<Page<EventView>> {
  const rows = await database.query<Row<EventView>>(
    `SELECT ${EVENT} FROM events
      WHERE ($1::text IS NULL OR source = $1) AND ($2::text IS NULL OR type = $2)
        AND ($3::float8 IS NULL OR received_at_ms >= $3) AND ($4::float8 IS NULL OR received_at_ms < $4)
        AND ($5::text IS NULL OR event_id < $5) ORDER BY event_id DESC LIMIT $6::int4`,
    [
      filter.source ?? null,
      filter.type ?? null,
      filter.sinceMs ?? null,
      filter.untilMs ?? null,
      filter.cursor ?? null,
      filter.limit + 1,
    ],
  )
  return pageOf(rows, filter.limit, ({ eventId }) => eventId)
}

/** A job's id is its event's id, a dot and the handler: the range lets every slice use its index. */
async function listJobs(database: Queryable, filter: JobFilter): Promise<Page<JobView>> {
  const rows = await database.query<Row<JobView>>(
    `SELECT ${JOB} FROM ${EVERY_JOB}
      WHERE ($1::text IS NULL OR handler = $1) AND ($2::text IS NULL OR state = $2)
        AND ($3::text IS NULL OR (event_id = $3 AND job_id >= $3 || '.' AND job_id < $3 || '/')) AND ($4::text IS NULL OR job_id < $4)
        AND ($5::text IS NULL OR source = $5) AND ($6::text IS NULL OR event_type = $6)
        AND ($7::text IS NULL OR last_error = $7)
        AND ($8::float8 IS NULL OR completed_at >= to_timestamp($8 / 1000))
        AND ($9::float8 IS NULL OR completed_at < to_timestamp($9 / 1000))
      ORDER BY job_id DESC LIMIT $10::int4`,
    [
      filter.handler ?? null,
      filter.state ?? null,
      filter.eventId ?? null,
      filter.cursor ?? null,
      filter.source ?? null,
      filter.eventType ?? null,
      filter.error ?? null,
      filter.sinceMs ?? null,
      filter.untilMs ?? null,
      filter.limit + 1,
    ],
  )
  return pageOf(rows, filter.limit, ({ jobId }) => jobId)
}

/** One row more than asked for tells whether there is a next page. */
export function pageOf<T>(rows: readonly T[], limit: number, cursorOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, next: rows.length > limit && last !== undefined ? cursorOf(last) : null }
}

/** Whoever enables it says that the endpoint is back: it is probed at once, and its days without a success begin anew. */
async function setHandlerStatus(
  transaction: Queryable,
  { name, status, audit }: { name: string; status: HandlerView['status']; audit: AuditEntry },
): Promise<boolean> {
  const reason = status === 'active' || audit.reason === null ? null : cleanText(audit.reason)
  const changed = await transaction.query<{ before: string }>(
    `UPDATE handlers h SET status = $2, status_reason = $3,
            failing_since = CASE WHEN $2 <> 'active' THEN failing_since END,
            breaker_until = CASE WHEN $2 = 'active' AND breaker = 'open' THEN now() ELSE breaker_until END
       FROM (SELECT handler, status FROM handlers WHERE handler = $1 FOR UPDATE) AS old
      WHERE h.handler = old.handler RETURNING old.status AS before`,
    [name, status, reason],
  )
  const before = changed[0]?.before
  if (before === undefined) return false
  // Hints that came while nothing might be taken are gone: their jobs are due at once, not when the marks run out.
  if (status === 'active')
    await transaction.query(
      'UPDATE jobs SET queued_until = NULL WHERE handler = $1 AND queued_until > now()',
      [name],
    )
  await writeAudit(transaction, { ...audit, details: { ...audit.details, before, after: status } })
  return true
}

export async function writeAudit(database: Queryable, entry: AuditEntry): Promise<void> {
  await database.query(
    'INSERT INTO audit (actor, action, target, reason, details) VALUES ($1, $2, $3, $4, $5::jsonb)',
    [
      cleanText(entry.actor),
      entry.action,
      cleanText(entry.target),
      entry.reason === null ? null : cleanText(entry.reason),
      jsonText(entry.details),
    ],
  )
}
