/**
 * What one planning step writes, as one statement: events, jobs, jobs that are dead at once, plan steps, and the
 * positions' compare-and-swap. The positions are locked by the caller; their count is checked all the same.
 */
import type {
  DedupClaim,
  EventRow,
  NewJob,
  StepDecision,
  StepRequest,
} from '../../../core/ports/plan-store.ts'
import { QUEUED_MS } from '../../../core/ports/pump-store.ts'
import { sqlStateOf } from '../database-error.ts'
import type { Queryable, Statement } from '../database.ts'
import { int4Array, int8Array, textArray } from '../sql.ts'
import { jsonText, texts } from './columns.ts'
import { MAY_PLAN } from './may-plan.ts'
import { claimColumns } from './step-claims.ts'

/**
 * Raised by require_whole_step in infra/sql/000002_jobs.sql; or a job that is there already, since Postgres promises no
 * order among the parts of one statement.
 */
const NOT_NEW = new Set(['HT002', '23505'])

export interface StepWrite {
  readonly request: StepRequest
  readonly decision: StepDecision
  readonly handlers: readonly string[]
  readonly statements: Pick<StepStatements, 'write'>
}

/** Both statements; the same text as ever where the job store is its own queue. */
export interface StepStatements {
  readonly write: Statement
  readonly writeNew: Statement
}

/** `queued`: the planner offers new jobs at once, so that they are born with the mark of a hint (pump-store.ts). */
export function stepStatements({ queued }: { queued: boolean }): StepStatements {
  return queued ? QUEUED : UNQUEUED
}

/** Where planning may meet jobs of which more was told than their plan step. */
const MAY_BE_TOLD = `(SELECT count(*) FROM recovered_ends e WHERE e.topic_id = $2 AND e.partition_no = $3::int4
                            AND e.next_offset > $4::int8) > 0`

/** $1 to $30 of both statements. Jobs that a recovery has brought already are left out. */
const writesText = (markColumn: string, mark: string, mayBeTold = MAY_BE_TOLD): string => `new_events AS (
    INSERT INTO events (topic, topic_id, partition_no, event_id, source, type, subject, received_at_ms,
                        record_offset, timestamp_ms, unique_key, size_bytes, original_id, conflict)
    SELECT $1, $2, $3::int4, event_id, source, type, subject, received_at_ms, record_offset, timestamp_ms,
           unique_key, size_bytes, original_id, conflict = 1
      FROM unnest($8::text[], $9::text[], $10::text[], $11::text[], $12::int8[], $13::int8[], $14::int8[],
                  $15::text[], $16::int4[], $17::text[], $18::int4[])
        AS e (event_id, source, type, subject, received_at_ms, record_offset, timestamp_ms,
              unique_key, size_bytes, original_id, conflict)
  ), decided AS MATERIALIZED (
    SELECT *, CASE WHEN ${mayBeTold}
                   THEN settle_planned(job_id, source, event_type, $1, $2, $3::int4, record_offset)
                   ELSE 0 END AS attempt
      FROM unnest($19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::int8[],
                  $25::int4[], $26::text[])
        AS j (job_id, event_id, handler, source, event_type, record_offset, max_attempts, dead_error)
  ), new_jobs AS (
    INSERT INTO jobs (topic, topic_id, partition_no, job_id, event_id, handler, source, event_type,
                      record_offset, max_attempts, attempt${markColumn})
    SELECT $1, $2, $3::int4, job_id, event_id, handler, source, event_type, record_offset, max_attempts,
           attempt${mark}
      FROM decided WHERE dead_error IS NULL AND attempt IS NOT NULL
  ), dead_jobs AS (
    INSERT INTO jobs_dead (topic, topic_id, partition_no, job_id, event_id, handler, source, event_type,
                           record_offset, max_attempts, last_error)
    SELECT $1, $2, $3::int4, job_id, event_id, handler, source, event_type, record_offset, max_attempts,
           dead_error
      FROM decided WHERE dead_error IS NOT NULL AND attempt IS NOT NULL
  ), new_steps AS (
    INSERT INTO plan_steps (topic, topic_id, partition_no, first_offset, next_offset, generation, handler,
                            counts, planned, dead_jobs)
    SELECT $1, $2, $3::int4, $4::int8, $5::int8, $6, handler, counts::jsonb, planned::int8[],
           dead_jobs::jsonb
      FROM unnest($27::text[], $28::text[], $29::text[], $30::text[])
        AS s (handler, counts, planned, dead_jobs)
  )`

const MOVE = `UPDATE positions SET next_offset = $5::int8
     WHERE topic_id = $2 AND partition_no = $3::int4 AND next_offset = $4::int8 AND handler = ANY ($7::text[])`

const writeText = (writes: string): string => `WITH ${writes}, moved AS (
    ${MOVE} RETURNING 1
  ) SELECT count(*)::int4 AS moved FROM moved`

/** The whole step, for the case that every position stands at `first` and no key was seen: else it writes nothing. */
const writeNewText = (writes: string): string => `WITH locked AS MATERIALIZED (
    SELECT handler FROM positions
     WHERE topic_id = $2 AND partition_no = $3::int4 AND handler = ANY ($7::text[]) ORDER BY handler FOR UPDATE
  ), claimed AS (
    INSERT INTO first_seen (source, key, topic_id, partition_no, record_offset, timestamp_ms, event_id, body_digest)
    SELECT source, key, $2, $3::int4, record_offset, timestamp_ms, event_id, body_digest
      FROM unnest($31::text[], $32::text[], $33::int8[], $34::int8[], $35::text[], $36::bytea[])
        AS c (source, key, record_offset, timestamp_ms, event_id, body_digest)
     WHERE (SELECT count(*) FROM locked) > 0
    ON CONFLICT DO NOTHING RETURNING 1
  ), ${writes}, moved AS (
    ${MOVE} AND (SELECT count(*) FROM claimed) = cardinality($31::text[])
       AND (SELECT ${MAY_PLAN} FROM store) RETURNING 1
  ) SELECT require_whole_step(count(*) = cardinality($7::text[])) FROM moved`

const PLAIN_WRITES = writesText('', '')
const QUEUED_WRITES = writesText(', queued_until', `, now() + ${QUEUED_MS} * interval '1 millisecond'`)

/** Without the move of positions: a replay keeps its own. */
const ROWS = { name: 'replays_write_step', text: `WITH ${PLAIN_WRITES} SELECT cardinality($7::text[])` }

const UNQUEUED: StepStatements = {
  write: { name: 'jobs_write_step', text: writeText(PLAIN_WRITES) },
  writeNew: { name: 'jobs_write_new_step', text: writeNewText(PLAIN_WRITES) },
}
/** Of a recovery: any job may have been told of, and hints are forgotten in its end. */
export const RECOVERED: Pick<StepStatements, 'write'> = {
  write: { name: 'jobs_write_recovered_step', text: writeText(writesText('', '', 'true')) },
}
const QUEUED: StepStatements = {
  write: { name: 'jobs_write_queued_step', text: writeText(QUEUED_WRITES) },
  writeNew: { name: 'jobs_write_new_queued_step', text: writeNewText(QUEUED_WRITES) },
}

export async function writeStep(transaction: Queryable, step: StepWrite): Promise<void> {
  const [row] = await transaction.query<{ moved: number }>(step.statements.write, valuesOf(step))
  if (row?.moved !== step.handlers.length)
    throw new Error('positions moved although their rows were locked: the step is rolled back')
}

/** All of a step but the positions, which the caller moves in the same transaction. */
export async function writeStepRows(
  transaction: Queryable,
  step: Omit<StepWrite, 'statements'>,
): Promise<void> {
  await transaction.query(ROWS, valuesOf(step))
}

/** False when the step is another case: nothing was written then. */
export async function writeNewStep(
  database: Queryable,
  step: StepWrite & { readonly statements: StepStatements },
  claims: readonly DedupClaim[],
): Promise<boolean> {
  try {
    await database.query(step.statements.writeNew, [...valuesOf(step), ...claimColumns(claims)])
    return true
  } catch (error) {
    if (NOT_NEW.has(sqlStateOf(error) ?? '')) return false
    throw error
  }
}

function valuesOf({ request, decision, handlers }: Omit<StepWrite, 'statements'>): readonly unknown[] {
  const { topic, topicId, partition, first, next, generation } = request
  return [
    ...[topic, topicId, partition, first.toString(), next.toString(), generation, textArray(handlers)],
    ...eventColumns(decision.events),
    ...jobColumns(decision.jobs),
    ...stepColumns(decision),
  ]
}

function eventColumns(events: readonly EventRow[]): readonly Buffer[] {
  return [
    texts(events, ({ eventId }) => eventId),
    texts(events, ({ source }) => source),
    texts(events, ({ type }) => type),
    texts(events, ({ subject }) => subject),
    int8Array(events.map(({ receivedAtMs }) => BigInt(Math.trunc(receivedAtMs)))),
    int8Array(events.map(({ offset }) => offset)),
    int8Array(events.map(({ timestampMs }) => timestampMs)),
    texts(events, ({ uniqueKey }) => uniqueKey),
    int4Array(events.map(({ sizeBytes }) => sizeBytes)),
    texts(events, ({ verdict }) => (verdict.kind === 'duplicate' ? verdict.originalEventId : null)),
    int4Array(events.map(({ verdict }) => (verdict.kind === 'duplicate' && verdict.conflict ? 1 : 0))),
  ]
}

function jobColumns(jobs: readonly NewJob[]): readonly Buffer[] {
  return [
    texts(jobs, ({ jobId }) => jobId),
    texts(jobs, ({ eventId }) => eventId),
    texts(jobs, ({ handler }) => handler),
    texts(jobs, ({ source }) => source),
    texts(jobs, ({ eventType }) => eventType),
    int8Array(jobs.map(({ offset }) => offset)),
    int4Array(jobs.map(({ maxAttempts }) => maxAttempts)),
    texts(jobs, (job) => (job.state === 'dead' ? (job.errorClass ?? 'unknown') : null)),
  ]
}

function stepColumns({ steps, jobs }: StepDecision): readonly Buffer[] {
  const dead = jobs.filter(({ state }) => state === 'dead')
  return [
    texts(steps, ({ handler }) => handler),
    textArray(steps.map(({ counts, conflicts }) => JSON.stringify({ ...counts, conflicts }))),
    textArray(steps.map(({ plannedOffsets }) => `{${plannedOffsets.join(',')}}`)),
    textArray(
      steps.map(({ handler }) => jsonText(dead.filter((job) => job.handler === handler).map(deadJob))),
    ),
  ]
}

/** The plan step is the only record of these jobs: they have no attempt. */
function deadJob(job: NewJob): Record<string, unknown> {
  return {
    job_id: job.jobId,
    event_id: job.eventId,
    offset: job.offset.toString(),
    error: job.errorClass,
    error_detail: job.errorDetail,
  }
}
