/**
 * Dead jobs made available again or discarded: each job's audit row is written by the statement that moves it (I9). Many
 * are taken in order of their ids, so that a caller who goes on behind the last one meets no job twice, even one that
 * died again meanwhile.
 */
import {
  DEAD_GROUPS,
  DEFAULT_BUDGET,
  type AuditEntry,
  type DeadAction,
  type DeadFilter,
  type DeadGroup,
  type DeadGroupBy,
  type DeadLetterStore,
} from '../../../core/ports/dead-letter-store.ts'
import type { Database, Queryable } from '../database.ts'
import { textArray } from '../sql.ts'
import { cleanText, jsonText } from './columns.ts'

const GROUPS_MAX = 1_000

const DEAD = 'WITH dead AS (DELETE FROM jobs_dead WHERE job_id = ANY ($1::text[]) RETURNING *)'

const BUDGET = `coalesce(($6::jsonb ->> split_part(handler, '.', 1))::int4, $7::int4)`

/**
 * $6 budgets by handler, $7 the budget of others, $8 how many were due before, $9 milliseconds between two. A replay that
 * was over goes on for what is retried: its row is locked, so that nobody ends it meanwhile.
 */
const RETRY = `${DEAD}, reopened AS (
    UPDATE replays SET ended_at = NULL WHERE name IN (SELECT handler FROM dead) AND status = 'running'
  ), again AS (
    INSERT INTO jobs (due, created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id, handler,
                      source, event_type, topic, topic_id, last_error)
    SELECT now() + ($8::int4 + row_number() OVER (ORDER BY job_id) - 1) * $9::float8 * interval '1 millisecond',
           created_at, record_offset, partition_no, attempt,
           greatest(attempt, max_attempts) + ${BUDGET}, job_id, event_id, handler, source,
           event_type, topic, topic_id, last_error FROM dead RETURNING job_id, handler
  ) INSERT INTO audit (actor, action, target, reason, details)
    SELECT $2, $3, job_id, $4, $5::jsonb || jsonb_build_object('job_id', job_id, 'budget', ${BUDGET}) FROM again
    RETURNING target`

const DISCARD = `${DEAD}, gone AS (
    INSERT INTO jobs_done (created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, state,
                           last_error)
    SELECT created_at, attempt, max_attempts, job_id, event_id, handler, source, event_type, 'discarded', last_error
      FROM dead RETURNING job_id
  ) INSERT INTO audit (actor, action, target, reason, details)
    SELECT $2, $3, job_id, $4, $5::jsonb || jsonb_build_object('job_id', job_id) FROM gone
    RETURNING target`

const MATCHING = `FROM jobs_dead WHERE ($1::text IS NULL OR handler = $1) AND ($2::text IS NULL OR source = $2)
    AND ($3::text IS NULL OR event_type = $3) AND ($4::text IS NULL OR last_error = $4)
    AND ($5::float8 IS NULL OR completed_at >= to_timestamp($5 / 1000))
    AND ($6::float8 IS NULL OR completed_at < to_timestamp($6 / 1000))`

const CHOOSE = `SELECT job_id AS "jobId" ${MATCHING} AND ($7::text IS NULL OR job_id > $7)
  ORDER BY job_id LIMIT $8::int4 FOR UPDATE SKIP LOCKED`

const COLUMNS: Readonly<Record<DeadGroupBy, string>> = {
  handler: 'handler',
  source: 'source',
  event_type: 'event_type',
  error: 'last_error',
}

/** `isKnown`: whether there is a job of this id in any state. */
export function createDeadLetterStore(
  database: Database,
  isKnown: (transaction: Queryable, jobId: string) => Promise<boolean>,
): DeadLetterStore {
  return {
    settleDeadJob: (given, action, audit) =>
      database.transaction(async (transaction) => {
        const jobId = cleanText(given)
        if ((await settle(transaction, { jobIds: [jobId], before: 0, action, audit })) > 0) return 'settled'
        return (await isKnown(transaction, jobId)) ? 'not-dead' : 'not-found'
      }),
    settleDeadJobs: (filter, { after, limit, ...rest }) =>
      database.transaction(async (transaction) => {
        const rows = await transaction.query<{ jobId: string }>(CHOOSE, [...valuesOf(filter), after, limit])
        const jobIds = rows.map(({ jobId }) => jobId)
        const last = jobIds.at(-1)
        if (last === undefined) return null
        return { settled: await settle(transaction, { jobIds, ...rest }), last }
      }),
    groupDeadJobs: (filter, by) =>
      database.query<DeadGroup & Record<string, unknown>>(groupsText(by), valuesOf(filter)),
  }
}

interface Settling {
  readonly jobIds: readonly string[]
  readonly before: number
  readonly action: DeadAction
  readonly audit: Omit<AuditEntry, 'target'>
}

async function settle(
  transaction: Queryable,
  { jobIds, before, action: what, audit }: Settling,
): Promise<number> {
  const { actor, action, reason, details } = audit
  const cleanReason = reason === null ? null : cleanText(reason)
  const values = [textArray(jobIds), cleanText(actor), action, cleanReason, jsonText(details)]
  switch (what.kind) {
    case 'retry': {
      const budgets = jsonText(Object.fromEntries(what.budgets))
      const spacing = [budgets, DEFAULT_BUDGET, before, what.everyMs]
      return (await transaction.query(RETRY, [...values, ...spacing])).length
    }
    case 'discard':
      return (await transaction.query(DISCARD, values)).length
    default:
      return what satisfies never
  }
}

function valuesOf({ handler, source, eventType, error, sinceMs, untilMs }: DeadFilter): readonly unknown[] {
  const texts = [handler, source, eventType, error].map((text) => (text === null ? null : cleanText(text)))
  return [...texts, sinceMs, untilMs]
}

function groupsText(by: readonly DeadGroupBy[]): string {
  const column = (name: DeadGroupBy): string => (by.includes(name) ? COLUMNS[name] : 'NULL')
  const grouped = DEAD_GROUPS.filter((name) => by.includes(name)).map((name) => COLUMNS[name])
  return `SELECT ${column('handler')} AS handler, ${column('source')} AS source, ${column('event_type')} AS "eventType",
      ${column('error')} AS error, count(*)::float8 AS jobs,
      (extract(epoch FROM min(completed_at)) * 1000)::float8 AS "firstDiedAtMs",
      (extract(epoch FROM max(completed_at)) * 1000)::float8 AS "lastDiedAtMs"
    ${MATCHING} ${grouped.length === 0 ? 'HAVING count(*) > 0' : `GROUP BY ${grouped.join(', ')}`}
    ORDER BY ${['jobs DESC', ...grouped].join(', ')} LIMIT ${GROUPS_MAX}`
}
