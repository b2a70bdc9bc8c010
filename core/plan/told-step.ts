/**
 * A planning step that was made before, made again from what was told of it: the offsets that were planned then become
 * jobs, whatever filters say now, and its counts stay as they were told. Events and verdicts are read anew. Pure.
 */
import {
  INDEX_HANDLER,
  type LockedStep,
  type NewJob,
  type PlanCounts,
  type StepDecision,
} from '../ports/plan-store.ts'
import type { StepFact } from '../recovery/fact.ts'
import { planBatch, type BatchInput } from './plan-batch.ts'
import type { PlannedEvent } from './plan-rows.ts'

export type ToldInput = Pick<
  BatchInput,
  'at' | 'first' | 'next' | 'records' | 'gaps' | 'dedup' | 'bodyDigest'
> & {
  readonly attemptsMax: number
}

export interface ToldPlan extends Pick<ReturnType<typeof planBatch>, 'claims'> {
  readonly decide: (locked: LockedStep) => StepDecision
}

export function planTold(fact: StepFact, input: ToldInput): ToldPlan {
  const batch = planBatch({ ...input, handlers: [], eventTtlMs: null, nowMs: 0, quarantined: false })
  return {
    claims: batch.claims,
    decide: (locked) => ({
      events: fact.handler === INDEX_HANDLER ? batch.decide(locked).events : [],
      jobs: fact.handler === INDEX_HANDLER ? [] : toldJobs(fact, batch.events, input.attemptsMax),
      steps: [
        {
          handler: fact.handler,
          counts: countsOf(fact),
          conflicts: fact.counts['conflicts'] ?? 0,
          plannedOffsets: fact.plannedOffsets,
        },
      ],
    }),
  }
}

/** One whose event is in neither log nor archive any more cannot be delivered: it has no job. */
function toldJobs(fact: StepFact, events: readonly PlannedEvent[], attemptsMax: number): readonly NewJob[] {
  const planned = new Set(fact.plannedOffsets)
  const dead = new Map(fact.deadJobs.map((job) => [job.offset, job]))
  return events.flatMap(({ event, offset }): NewJob[] => {
    const died = dead.get(offset)
    if (died === undefined && !planned.has(offset)) return []
    return [
      {
        jobId: `${event.id}.${fact.handler}`,
        eventId: event.id,
        handler: fact.handler,
        source: event.source,
        eventType: event.type,
        offset,
        state: died === undefined ? 'available' : 'dead',
        errorClass: died?.error ?? null,
        errorDetail: died?.errorDetail ?? null,
        maxAttempts: attemptsMax,
      },
    ]
  })
}

function countsOf({ counts }: StepFact): PlanCounts {
  const of = (name: keyof PlanCounts): number => counts[name] ?? 0
  return {
    planned: of('planned'),
    filtered: of('filtered'),
    duplicate: of('duplicate'),
    expired: of('expired'),
    errors: of('errors'),
    skipped: of('skipped'),
    lost: of('lost'),
  }
}
