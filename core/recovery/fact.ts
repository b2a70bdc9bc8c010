/**
 * What `<prefix>.deliveries` and `<prefix>.audit` tell of a job store: its plan steps, attempts and operators' actions,
 * each once under an id. A store that lacks one of its own has travelled back, and from them it is made whole again.
 * Whoever may write to the log decides what lies there: a record that is no fact is null, never an error.
 */
import { z } from 'zod'
import type { LogRecord } from '../ports/event-log.ts'
import { isObject, parseJson } from '../record/parse-header.ts'

export interface FactHead {
  readonly storeId: string
  readonly incarnation: number
  /** Unique within the incarnation and the kind. */
  readonly id: string
  /** ISO 8601 in UTC with microseconds: texts are in the order of times. */
  readonly createdAt: string
  /** The record as it was told. */
  readonly row: Readonly<Record<string, unknown>>
}

export interface StepFact extends FactHead {
  readonly kind: 'plan_step'
  /** INDEX_HANDLER for the index itself. */
  readonly handler: string
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly first: bigint
  readonly next: bigint
  readonly generation: string
  /** With `conflicts`, as they were told. */
  readonly counts: Readonly<Record<string, number>>
  readonly plannedOffsets: readonly bigint[]
  readonly deadJobs: readonly DeadJobFact[]
}

export interface DeadJobFact {
  readonly offset: bigint
  readonly error: string | null
  readonly errorDetail: string | null
}

/** What only the store looks into. */
export interface RowFact extends FactHead {
  readonly kind: 'attempt' | 'audit'
  /** The handler of an attempt, the target of an action. */
  readonly of: string
  /** Of an attempt, else 0. */
  readonly attempt: number
}

export type Fact = StepFact | RowFact

const int64 = z.string().regex(/^(0|[1-9][0-9]{0,18})$/)
const id = z.string().regex(/^[1-9][0-9]{0,8}\.[1-9][0-9]{0,18}$/)
const head = {
  id,
  store_id: z.uuid(),
  created_at: z.iso.datetime({ precision: 6 }),
}
const name = z.string().max(1_000)
const count = z.int().min(0)

const planStep = z.object({
  ...head,
  kind: z.literal('plan_step'),
  handler: name,
  topic: name,
  topic_id: z.string().regex(/^[0-9a-f]{32}$/),
  partition: count,
  first: int64,
  next: int64,
  generation: name,
  counts: z.record(z.string(), count),
  planned_offsets: z.array(int64),
  dead_jobs: z.array(
    z.object({ offset: int64, error: z.string().nullable(), error_detail: z.string().nullable() }),
  ),
})

const attempt = z.object({
  ...head,
  kind: z.literal('attempt'),
  job_id: name,
  event_id: name,
  handler: name,
  attempt: count,
  late: z.boolean(),
  next_state: z.enum(['completed', 'retryable', 'dead']).nullable(),
  duration_ms: z.number(),
})

const audit = z.object({
  ...head,
  kind: z.literal('audit'),
  actor: z.string(),
  action: z.string(),
  target: z.string(),
  details: z.record(z.string(), z.unknown()),
})

const known = z.discriminatedUnion('kind', [planStep, attempt, audit])

/** Null: it tells nothing of a job store. */
export function parseFact({ value }: Pick<LogRecord, 'value'>): Fact | null {
  const row = value === null ? undefined : parseJson(value.toString('utf8'))
  const parsed = known.safeParse(row)
  if (!parsed.success || !isObject(row)) return null
  const { data } = parsed
  const [incarnation = '', number = ''] = data.id.split('.')
  const common: FactHead = {
    storeId: data.store_id,
    incarnation: Number(incarnation),
    id: number,
    createdAt: data.created_at,
    row,
  }
  switch (data.kind) {
    case 'plan_step':
      return { ...common, ...stepOf(data) }
    case 'attempt':
      return { ...common, kind: 'attempt', of: data.handler, attempt: data.attempt }
    case 'audit':
      return { ...common, kind: 'audit', of: data.target, attempt: 0 }
    default:
      return data satisfies never
  }
}

function stepOf(step: z.infer<typeof planStep>): Omit<StepFact, keyof FactHead> {
  return {
    kind: 'plan_step',
    handler: step.handler,
    topic: step.topic,
    topicId: step.topic_id,
    partition: step.partition,
    first: BigInt(step.first),
    next: BigInt(step.next),
    generation: step.generation,
    counts: step.counts,
    plannedOffsets: step.planned_offsets.map(BigInt),
    deadJobs: step.dead_jobs.map(({ offset, error, error_detail: errorDetail }) => ({
      offset: BigInt(offset),
      error,
      errorDetail,
    })),
  }
}
