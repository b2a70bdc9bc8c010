/**
 * One step of a replay. The row of its range is locked and moves by compare-and-swap with what was planned, so that an
 * event is planned once in a replay whoever tries. Whether it may be planned is asked behind that lock: whoever pauses,
 * cancels or begins anew locks the ranges as well, so that nothing is planned for a state that is over.
 */
import assert from 'node:assert/strict'
import type {
  LockedStep,
  Position,
  StepDecision,
  StepOutcome,
  StepRequest,
} from '../../../core/ports/plan-store.ts'
import type { Database, Queryable } from '../database.ts'
import { jsonText } from './columns.ts'
import { replayVerdicts } from './replay-verdicts.ts'
import { writeStepRows } from './write-step.ts'

const LOCK = {
  name: 'replays_lock_range',
  text: `SELECT counts FROM replay_ranges WHERE name = $1 AND topic_id = $2 AND partition_no = $3::int4
            AND next_offset = $4::int8 AND end_offset >= $5::int8 FOR UPDATE`,
}
const STATUS = {
  name: 'replays_status',
  text: 'SELECT status FROM replays WHERE name = $1 AND ended_at IS NULL',
}
const MOVE = {
  name: 'replays_move',
  text: `UPDATE replay_ranges SET next_offset = $4::int8, counts = $5::jsonb
          WHERE name = $1 AND topic_id = $2 AND partition_no = $3::int4`,
}
const POSITIONS = {
  name: 'replays_positions',
  text: `SELECT name AS handler, topic_id AS "topicId", partition_no AS partition, next_offset AS next FROM replay_ranges
          WHERE name = $1 AND topic_id = $2 AND partition_no = $3::int4`,
}

type Counts = Readonly<Record<string, number>>

interface ReplayStep {
  readonly request: StepRequest
  readonly decide: (locked: LockedStep) => StepDecision
  readonly publish: ((decision: StepDecision) => Promise<void>) | undefined
}

export function replayPositions(
  database: Queryable,
  ...place: readonly [name: string, topicId: string, partition: number]
): Promise<readonly Position[]> {
  return database.query<Position & Record<string, unknown>>(POSITIONS, place)
}

export function commitReplayStep(
  database: Database,
  { request, decide, publish }: ReplayStep,
): Promise<StepOutcome> {
  const { topicId, partition, first, next, handlers } = request
  const [name] = handlers
  assert(name !== undefined && handlers.length === 1, 'a replay is planned alone')
  return database.transaction(async (transaction) => {
    const place = [name, topicId, partition]
    const [range] = await transaction.query<{ counts: Counts }>(LOCK, [
      ...place,
      first.toString(),
      next.toString(),
    ])
    const [replay] = await transaction.query<{ status: string }>(STATUS, [name])
    if (range === undefined || (replay?.status !== 'running' && replay?.status !== 'counting'))
      return { kind: 'lost' }
    const decision = decide({
      handlers: new Set(handlers),
      verdicts: await replayVerdicts(transaction, name, request),
    })
    const isRunning = replay.status === 'running'
    if (isRunning && publish !== undefined) await publish(decision)
    else if (isRunning) await writeStepRows(transaction, { request, decision, handlers })
    const published = isRunning && publish !== undefined ? decision.jobs.length : 0
    const counts = {
      ...sumOf(range.counts, decision),
      published: (range.counts['published'] ?? 0) + published,
    }
    await transaction.query(MOVE, [...place, next.toString(), jsonText(counts)])
    return { kind: 'committed', planned: isRunning && decision.jobs.length > 0 ? [name] : [] }
  })
}

/** By what became of its offsets. */
function sumOf(before: Counts, { steps }: StepDecision): Counts {
  const [step] = steps
  assert(step !== undefined && steps.length === 1, 'a replay has one step at a time')
  return Object.fromEntries(
    Object.entries(step.counts).map(([kind, count]) => [kind, (before[kind] ?? 0) + Number(count)]),
  )
}
