/**
 * Planning: handlers, positions and the one planning transaction, or statement. Exactly-once planning comes from the position rows:
 * locked in the order of handlers, kept where they still stand at `first`, moved by compare-and-swap in the end.
 */
import {
  type HandlerStart,
  INDEX_HANDLER,
  type LockedStep,
  type PlanStore,
  type Position,
  type StepDecision,
  type StepOutcome,
  type StepRequest,
} from '../../../core/ports/plan-store.ts'
import { sqlStateOf } from '../database-error.ts'
import type { Database, Queryable } from '../database.ts'
import { onServer } from '../servers.ts'
import { int4Array, int8Array, textArray } from '../sql.ts'
import { jsonText } from './columns.ts'
import { reviveJobs } from './revive.ts'
import { claimsIfNew, walkStep } from './step-claims.ts'
import { claimedVerdicts, IdRaceError, lockAndClaim, readVerdicts, type StepClaim } from './verdicts.ts'
import { stepStatements, writeNewStep, writeStep, type StepStatements } from './write-step.ts'

type Decide = (locked: LockedStep) => StepDecision

/**
 * Up to so many events a step is first tried as one statement: then its round trips cost most. A larger one would throw
 * away more when a key turns out to be known.
 */
const NEW_CLAIMS_MAX = 16
const UNIQUE_VIOLATION = '23505'
const ID_RACES_MAX = 3

type OpenJobs = Awaited<ReturnType<PlanStore['openJobs']>>[number]

const POSITION = 'handler, topic_id AS "topicId", partition_no AS partition, next_offset AS next'

/** Asked for often: waiting jobs, perhaps very many, are counted in the index alone, and only due ones by their rows. */
const OPEN_JOBS = {
  name: 'jobs_open',
  text: `SELECT h.handler, due.available, due.running, (due.retryable + waiting.jobs)::int4 AS retryable
           FROM handlers h
          CROSS JOIN LATERAL (
            SELECT (count(*) FILTER (WHERE state = 'available'))::int4 AS available,
                   (count(*) FILTER (WHERE state = 'running'))::int4 AS running,
                   (count(*) FILTER (WHERE state = 'retryable'))::int4 AS retryable
              FROM jobs WHERE jobs.handler = h.handler AND due <= now()) AS due
          CROSS JOIN LATERAL (
            SELECT count(*)::int4 AS jobs FROM jobs WHERE jobs.handler = h.handler AND due > now()) AS waiting
          WHERE due.available + due.running + due.retryable + waiting.jobs > 0`,
}

/** `queued`: see stepStatements in write-step.ts. */
export function createPlanStore(database: Database, { queued }: { queued: boolean }): PlanStore {
  const statements = stepStatements({ queued })
  return {
    registerHandler: (start) => database.transaction((transaction) => registerHandler(transaction, start)),
    ensureIndex: async (topicId, partition, next) => {
      await insertPositions(database, INDEX_HANDLER, [{ topicId, partition, next }])
    },
    indexedBefore: async (topicId) => {
      const rows = await database.query(
        'SELECT 1 FROM positions WHERE handler = $1 AND topic_id = $2 AND next_offset > start_offset LIMIT 1',
        [INDEX_HANDLER, topicId],
      )
      return rows.length > 0
    },
    positions: (topicId, partition) =>
      database.query<Position & Record<string, unknown>>(
        {
          name: 'jobs_positions',
          text: `SELECT ${POSITION} FROM positions WHERE topic_id = $1 AND partition_no = $2`,
        },
        [topicId, partition],
      ),
    allPositions: () =>
      database.query<Position & Record<string, unknown>>(`SELECT ${POSITION} FROM positions`),
    commitStep: (request, decide) =>
      commitStep(onServer(database, request.server ?? null), { request, decide, statements }),
    openJobs: () => database.query<OpenJobs & Record<string, unknown>>(OPEN_JOBS),
  }
}

async function registerHandler(
  transaction: Queryable,
  { handler, source, positions }: HandlerStart,
): Promise<{ created: boolean }> {
  const rows = await transaction.query(
    'INSERT INTO handlers (handler, source) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING handler',
    [handler, source],
  )
  const created = rows.length > 0
  const starts = created || (await movesTo(transaction, { handler, source }))
  await insertPositions(
    transaction,
    handler,
    starts ? positions : positions.map((position) => ({ ...position, next: position.first })),
  )
  if (starts) await auditStart(transaction, { handler, source, positions })
  return { created }
}

/** A store that is made whole from the log has to know where handlers began. */
async function auditStart(
  transaction: Queryable,
  { handler, source, positions }: HandlerStart,
): Promise<void> {
  const starts = positions.map(({ topicId, partition, next }) => ({
    topic_id: topicId,
    partition,
    next: next.toString(),
  }))
  await transaction.query(
    `INSERT INTO audit (actor, action, target, details) VALUES ('hooktrail', 'handler_started', $1, $2::jsonb)`,
    [handler, jsonText({ source, positions: starts })],
  )
}

/** True when the handler had another source: on this one it starts as a new handler does. */
async function movesTo(
  transaction: Queryable,
  { handler, source }: Pick<HandlerStart, 'handler' | 'source'>,
): Promise<boolean> {
  const rows = await transaction.query(
    'UPDATE handlers SET source = $2 WHERE handler = $1 AND source <> $2 RETURNING handler',
    [handler, source],
  )
  return rows.length > 0
}

async function insertPositions(
  database: Queryable,
  handler: string,
  positions: readonly Omit<HandlerStart['positions'][number], 'first'>[],
): Promise<void> {
  await database.query(
    `INSERT INTO positions (handler, topic_id, partition_no, start_offset, next_offset)
     SELECT $1, topic_id, partition_no, next, next
       FROM unnest($2::text[], $3::int4[], $4::int8[]) AS p (topic_id, partition_no, next)
     ON CONFLICT DO NOTHING`,
    [
      handler,
      textArray(positions.map(({ topicId }) => topicId)),
      int4Array(positions.map(({ partition }) => partition)),
      int8Array(positions.map(({ next }) => next)),
    ],
  )
}

export interface Commit {
  readonly request: StepRequest
  readonly decide: Decide
  readonly statements: Pick<StepStatements, 'write'>
}

type NewCommit = Commit & { readonly statements: StepStatements }

async function commitStep(database: Database, commit: NewCommit): Promise<StepOutcome> {
  const { claims, handlers } = commit.request
  const isSmall = claims.length <= NEW_CLAIMS_MAX && handlers.includes(INDEX_HANDLER)
  return (isSmall ? await commitNewStep(database, commit) : null) ?? commitAgain(database, commit, 'ok')
}

/**
 * One round trip and no transaction block; null when it was not the usual case and nothing is written. All duplicates of
 * such a step are of events of its own: there is nothing to revive.
 */
async function commitNewStep(
  database: Database,
  { request, decide, statements }: NewCommit,
): Promise<StepOutcome | null> {
  const { handlers } = request
  const walked = walkStep(request)
  const decision = decide({ handlers: new Set(handlers), verdicts: walked.verdicts })
  const step = { request, decision, handlers, statements }
  const isWritten = await writeNewStep(database, step, claimsIfNew(request, walked))
  return isWritten ? committed(decision) : null
}

/** Two partitions may plan one event id at once. The second insertion fails when the first is committed, and then the id is known. */
export async function commitAgain(
  database: Database,
  commit: Commit,
  state: StepClaim['state'],
): Promise<StepOutcome> {
  for (let race = 1; ; race++) {
    try {
      return await commitLocked(database, commit, state)
    } catch (error) {
      const isRace = error instanceof IdRaceError || sqlStateOf(error) === UNIQUE_VIOLATION
      if (!isRace || race === ID_RACES_MAX) throw error
    }
  }
}

function commitLocked(
  database: Database,
  { request, decide, statements }: Commit,
  state: StepClaim['state'],
): Promise<StepOutcome> {
  return database.transaction(async (transaction) => {
    const claim = { request, state }
    const { handlers, claimed } = await lockAndClaim(transaction, claim)
    // Without the index nothing was claimed: what ends here is a transaction that only held locks.
    const indexed = request.handlers.includes(INDEX_HANDLER)
    if (handlers.size === 0 || (indexed && !handlers.has(INDEX_HANDLER))) return { kind: 'lost' }
    const verdicts = indexed
      ? await claimedVerdicts(transaction, claim, claimed)
      : await readVerdicts(transaction, request)
    const decision = decide({ handlers, verdicts })
    await writeStep(transaction, { request, decision, handlers: [...handlers], statements })
    return committed(decision, await reviveJobs(transaction, request, decision))
  })
}

function committed({ jobs }: StepDecision, revived: readonly string[] = []): StepOutcome {
  const planned = jobs.flatMap(({ state, handler }) => (state === 'available' ? [handler] : []))
  return { kind: 'committed', planned: [...new Set([...planned, ...revived])] }
}
