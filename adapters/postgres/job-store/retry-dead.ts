/**
 * Dead jobs made available again: attempt numbers go on, max_attempts grows, and each job's audit row is written by the
 * same statement (I9). Many are taken in order of their ids, so that a caller who goes on behind the last one meets no
 * job twice, even one that died again meanwhile.
 */
import type { AuditEntry, DeadFilter, RetryStore } from '../../../core/ports/retry-store.ts'
import type { Database, Queryable } from '../pool.ts'
import { textArray } from '../sql.ts'
import { cleanText, jsonText } from './columns.ts'

const RETRY = `WITH dead AS (
    DELETE FROM jobs_dead WHERE job_id = ANY ($1::text[]) RETURNING *
  ), again AS (
    INSERT INTO jobs (created_at, record_offset, partition_no, attempt, max_attempts, job_id, event_id, handler,
                      source, event_type, topic, topic_id, last_error)
    SELECT created_at, record_offset, partition_no, attempt, max_attempts + $2::int4, job_id, event_id, handler,
           source, event_type, topic, topic_id, last_error FROM dead RETURNING job_id
  ) INSERT INTO audit (actor, action, target, reason, details)
    SELECT $3, $4, job_id, $5, $6::jsonb || jsonb_build_object('job_id', job_id, 'budget', $2::int4) FROM again
    RETURNING target`

const MATCHING = `FROM jobs_dead WHERE handler = $1
    AND ($2::float8 IS NULL OR completed_at >= to_timestamp($2 / 1000))
    AND ($3::float8 IS NULL OR completed_at < to_timestamp($3 / 1000))`

const CHOOSE = `SELECT job_id AS "jobId" ${MATCHING} AND ($4::text IS NULL OR job_id > $4)
  ORDER BY job_id LIMIT $5::int4 FOR UPDATE SKIP LOCKED`

/** `isKnown`: whether there is a job of this id in any state. */
export function createRetryStore(
  database: Database,
  isKnown: (transaction: Queryable, jobId: string) => Promise<boolean>,
): RetryStore {
  return {
    retryJob: (given, budget, audit) =>
      database.transaction(async (transaction) => {
        const jobId = cleanText(given)
        if ((await retry(transaction, { jobIds: [jobId], budget, audit })) > 0) return 'retried'
        return (await isKnown(transaction, jobId)) ? 'not-dead' : 'not-found'
      }),
    retryDead: (filter, { after, limit, budget, audit }) =>
      database.transaction(async (transaction) => {
        const rows = await transaction.query<{ jobId: string }>(CHOOSE, [...valuesOf(filter), after, limit])
        const jobIds = rows.map(({ jobId }) => jobId)
        const last = jobIds.at(-1)
        if (last === undefined) return null
        return { retried: await retry(transaction, { jobIds, budget, audit }), last }
      }),
    countDead: async (filter) => {
      const [row] = await database.query<{ count: number }>(
        `SELECT count(*)::float8 AS count ${MATCHING}`,
        valuesOf(filter),
      )
      return row?.count ?? 0
    },
  }
}

async function retry(
  transaction: Queryable,
  { jobIds, budget, audit }: { jobIds: readonly string[]; budget: number; audit: Omit<AuditEntry, 'target'> },
): Promise<number> {
  const { actor, action, reason, details } = audit
  const cleanReason = reason === null ? null : cleanText(reason)
  const values = [textArray(jobIds), budget, cleanText(actor), action, cleanReason, jsonText(details)]
  return (await transaction.query(RETRY, values)).length
}

function valuesOf({ handler, sinceMs, untilMs }: DeadFilter): readonly unknown[] {
  return [cleanText(handler), sinceMs, untilMs]
}
