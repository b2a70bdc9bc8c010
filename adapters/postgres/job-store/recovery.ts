/**
 * The store made whole from facts. Every method may be repeated after a crash: a step is applied where its position still
 * stands before it, any other fact where the store does not hold it. Rows keep their numbers, below all that the outbox
 * gives out from then on, so that nothing is told under a number that was used.
 */
import { HooktrailError } from '../../../core/error/hooktrail-error.ts'
import type { Fact } from '../../../core/recovery/fact.ts'
import {
  INDEX_HANDLER,
  type LockedStep,
  type PlanRecoveryStore,
  type StepDecision,
  type ToldStep,
} from '../../../core/ports/plan-store.ts'
import type {
  NotedOffset,
  RecoveryEnd,
  RecoveryStore,
  StoreState,
  TimedFact,
  UsedNumbers,
} from '../../../core/ports/recovery-store.ts'
import type { Database, Queryable } from '../database.ts'
import { onServer } from '../servers.ts'
import { int4Array, int8Array, textArray } from '../sql.ts'
import { jsonText } from './columns.ts'
import { nextIncarnation } from './maintenance.ts'
import { commitAgain } from './plan.ts'
import { claimedVerdicts, lockAndClaim } from './verdicts.ts'
import { RECOVERED, writeStep } from './write-step.ts'

/** What was planned was told: who repeats it judges nothing. */
const NO_VERDICTS: LockedStep['verdicts'] = new Map()

const STATE = `SELECT store_id::text AS "storeId",
    CASE WHEN state = 'recovering' AND EXISTS (SELECT FROM moves WHERE side = 'source' OR NOT is_whole)
         THEN 'moved' ELSE state END AS state FROM store`

/** Whoever begins or ends a recovery holds the one row of the store. */
const LEAVE = `UPDATE store SET state = $2 WHERE state = $1
    AND NOT EXISTS (SELECT FROM moves WHERE side = 'source' OR NOT is_whole) RETURNING state`

const NOTE = `INSERT INTO noted_offsets AS n (topic_id, partition_no, next_offset)
  SELECT * FROM unnest($1::text[], $2::int4[], $3::int8[])
  ON CONFLICT (topic_id, partition_no) DO UPDATE SET next_offset = excluded.next_offset
  WHERE n.next_offset < excluded.next_offset`

const NOTE_PLANNED = NOTE.replace('noted_offsets', 'recovered_ends')

const STEP = `INSERT INTO plan_steps (created_at, id, xid, incarnation, partition_no, first_offset, next_offset, handler,
                                     topic, topic_id, generation, counts, planned, dead_jobs)
  OVERRIDING SYSTEM VALUE
  VALUES ($1::timestamptz, $2::int8, '0', $3::int4, $4::int4, $5::int8, $6::int8, $7, $8, $9, $10, $11::jsonb,
          $12::int8[], $13::jsonb)`

/** The action before the hold that it asked for: the one is counted, the other may be there already. */
const FACTS = `SELECT (count(*) FILTER (WHERE applied))::int4 AS applied, count(recover_hold(action)) FROM (
    SELECT CASE WHEN f->'row'->>'kind' = 'attempt'
                THEN recover_attempt(f->'row', to_timestamp((f->>'retry_at_ms')::float8 / 1000),
                                     (f->>'attempts_max')::int4)
                ELSE recover_told_action(f->'row') END AS applied,
           CASE WHEN f->'row'->>'kind' <> 'attempt' THEN f->'row' END AS action
      FROM jsonb_array_elements($1::jsonb) AS f) AS told`

/** Slices of the days that recovered rows belong to. */
const PAST_SLICES = `SELECT make_past_slices('attempts', 'created_at', $1::date),
         make_past_slices('plan_steps', 'created_at', $1::date),
         make_past_slices('jobs_done', 'completed_at', $1::date),
         make_past_slices('jobs_dead', 'completed_at', $1::date)`

export function createRecoveryStore(database: Database): RecoveryStore & PlanRecoveryStore {
  return {
    storeState: async () => {
      const [row] = await database.query<StoreState & Record<string, unknown>>(STATE)
      return row ?? { storeId: '', state: 'moved' }
    },
    notedOffsets: () =>
      database.query<NotedOffset & Record<string, unknown>>(
        'SELECT topic_id AS "topicId", partition_no AS partition, next_offset AS next FROM noted_offsets',
      ),
    noteOffsets: (noted, server = null) => note(onServer(database, server), NOTE, noted),
    absentFacts: (facts) => absentFacts(database, facts),
    beginRecovery: (used, details) =>
      database.transaction((transaction) => begin(transaction, used, details)),
    beginRebuild: (storeId, used) =>
      database.transaction((transaction) => beginRebuild(transaction, storeId, used)),
    recoverPosition: (handler, source, position) =>
      database.transaction((transaction) => recoverPosition(transaction, { handler, source, position })),
    recoverStep: (step, decide) =>
      database.transaction((transaction) => recoverStep(transaction, { step, decide })),
    commitRest: (request, decide) =>
      commitAgain(database, { request, decide, statements: RECOVERED }, 'recovering'),
    travelledTopics: async () => {
      const rows = await database.query<{ id: string }>('SELECT topic_id AS id FROM travelled_topics')
      return rows.map(({ id }) => id)
    },
    recoverFacts: (facts) => database.transaction((transaction) => recoverFacts(transaction, facts)),
    endRecovery: (end) => database.transaction((transaction) => endRecovery(transaction, end)),
  }
}

async function note(database: Queryable, statement: string, noted: readonly NotedOffset[]): Promise<void> {
  if (noted.length === 0) return
  await database.query(statement, [
    textArray(noted.map(({ topicId }) => topicId)),
    int4Array(noted.map(({ partition }) => partition)),
    int8Array(noted.map(({ next }) => next)),
  ])
}

async function absentFacts(database: Queryable, facts: readonly Fact[]): Promise<number> {
  if (facts.length === 0) return 0
  const [row] = await database.query<{ absent: number }>(
    'SELECT count(*)::int4 AS absent FROM jsonb_array_elements($1::jsonb) AS f WHERE NOT holds_fact(f)',
    [jsonText(facts.map((fact) => fact.row))],
  )
  return row?.absent ?? 0
}

async function begin(
  transaction: Queryable,
  used: UsedNumbers,
  details: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const left = await transaction.query(LEAVE, ['ok', 'recovering'])
  if (left.length === 0) return false
  await raiseNumbers(transaction, used)
  await audit(transaction, 'store_travelled_back', details)
  return true
}

async function beginRebuild(transaction: Queryable, storeId: string, used: UsedNumbers): Promise<void> {
  const [there] = await transaction.query<{ is_begun: boolean; is_empty: boolean }>(
    `SELECT state = 'recovering' AND store_id = $1::uuid AS is_begun,
            NOT EXISTS (SELECT FROM positions) AND NOT EXISTS (SELECT FROM handlers)
            AND NOT EXISTS (SELECT FROM events) AND NOT EXISTS (SELECT FROM moves) AS is_empty FROM store FOR UPDATE`,
    [storeId],
  )
  if (there?.is_begun === true) return
  if (there?.is_empty !== true) throw new HooktrailError('STORE_NOT_EMPTY', {})
  await transaction.query("UPDATE store SET store_id = $1::uuid, state = 'recovering'", [storeId])
  await raiseNumbers(transaction, used)
  await audit(transaction, 'store_rebuild', {})
}

/** Before anything is written: a number that the log has under another row would be taken for a repetition of that. */
async function raiseNumbers(transaction: Queryable, { incarnation, auditId }: UsedNumbers): Promise<void> {
  await nextIncarnation(transaction, incarnation)
  await transaction.query(
    `SELECT setval(pg_get_serial_sequence('audit', 'id'),
                   greatest(nextval(pg_get_serial_sequence('audit', 'id')), $1::int8))`,
    [auditId.toString()],
  )
}

async function audit(
  transaction: Queryable,
  action: string,
  details: Readonly<Record<string, unknown>>,
): Promise<void> {
  await transaction.query(
    `INSERT INTO audit (actor, action, target, details)
     SELECT 'hooktrail', $1, store_id::text, $2::jsonb FROM store`,
    [action, jsonText(details)],
  )
}

interface Place {
  readonly handler: string
  readonly source: string
  readonly position: NotedOffset
}

async function recoverPosition(
  transaction: Queryable,
  { handler, source, position }: Place,
): Promise<bigint> {
  const { topicId, partition, next } = position
  if (handler !== INDEX_HANDLER)
    await transaction.query('INSERT INTO handlers (handler, source) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
      handler,
      source,
    ])
  await transaction.query(
    `INSERT INTO positions (handler, topic_id, partition_no, start_offset, next_offset)
     VALUES ($1, $2, $3::int4, $4::int8, $4::int8) ON CONFLICT DO NOTHING`,
    [handler, topicId, partition, next.toString()],
  )
  const [row] = await transaction.query<{ next: bigint }>(
    `SELECT next_offset AS next FROM positions WHERE handler = $1 AND topic_id = $2 AND partition_no = $3::int4`,
    [handler, topicId, partition],
  )
  return row?.next ?? next
}

interface StepRecovery {
  readonly step: ToldStep
  readonly decide: (locked: LockedStep) => StepDecision
}

async function recoverStep(
  transaction: Queryable,
  { step: { fact, request }, decide }: StepRecovery,
): Promise<boolean> {
  const claim = { request, state: 'recovering' } as const
  const { handlers, claimed } = await lockAndClaim(transaction, claim)
  if (!handlers.has(fact.handler)) return false
  const verdicts =
    fact.handler === INDEX_HANDLER ? await claimedVerdicts(transaction, claim, claimed) : NO_VERDICTS
  const { events, jobs, steps } = decide({ handlers, verdicts })
  await transaction.query(PAST_SLICES, [dayOf(fact)])
  await writeStep(transaction, {
    request,
    decision: { events, jobs, steps: [] },
    handlers: [...handlers],
    statements: RECOVERED,
  })
  for (const { counts, conflicts, plannedOffsets } of steps)
    await transaction.query(STEP, [
      ...[fact.createdAt, fact.id, fact.incarnation, fact.partition, request.first.toString()],
      ...[fact.next.toString(), fact.handler, fact.topic, fact.topicId, fact.generation],
      jsonText({ ...counts, conflicts }),
      `{${plannedOffsets.join(',')}}`,
      jsonText(fact.row['dead_jobs']),
    ])
  return true
}

async function recoverFacts(transaction: Queryable, facts: readonly TimedFact[]): Promise<number> {
  const [oldest] = facts.map(({ fact }) => dayOf(fact)).sort()
  if (oldest === undefined) return 0
  await transaction.query(PAST_SLICES, [oldest])
  const [row] = await transaction.query<{ applied: number }>(FACTS, [
    jsonText(
      facts.map(({ fact, retryAtMs, attemptsMax }) => ({
        row: fact.row,
        retry_at_ms: retryAtMs,
        attempts_max: attemptsMax,
      })),
    ),
  ])
  return row?.applied ?? 0
}

async function endRecovery(
  transaction: Queryable,
  { used, noted, planned, counts }: RecoveryEnd,
): Promise<boolean> {
  const left = await transaction.query(LEAVE, ['recovering', 'ok'])
  if (left.length === 0) return false
  await raiseNumbers(transaction, used)
  await note(transaction, NOTE, noted)
  await note(transaction, NOTE_PLANNED, planned)
  await transaction.query('DELETE FROM travelled_topics')
  // Hints that the queue had are of another time.
  await transaction.query('UPDATE jobs SET queued_until = NULL WHERE queued_until IS NOT NULL')
  await transaction.query('SELECT tell_lost_replays()')
  await audit(transaction, 'store_recovered', counts)
  return true
}

/** UTC. */
function dayOf({ createdAt }: Pick<Fact, 'createdAt'>): string {
  return createdAt.slice(0, 'YYYY-MM-DD'.length)
}
