/** A job store on a real database for tests, with one topic, and short forms of what a planner and a sender hand in. */
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import type { Logger } from '../../core/log.ts'
import type { DeadAction } from '../../core/ports/dead-letter-store.ts'
import type { AttemptOutcome, NextState, TakenJob } from '../../core/ports/delivery-store.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import {
  type DedupClaim,
  INDEX_HANDLER,
  type LockedStep,
  type PlanCounts,
  type StepDecision,
  type StepOutcome,
  type StepRequest,
  type Verdict,
} from '../../core/ports/plan-store.ts'
import { createMigratedDatabase, silentLogger } from './postgres.ts'

export const TOPIC_ID = 'ab'.repeat(16)
export const LEASE_MS = 60_000
const NO_COUNTS: PlanCounts = {
  planned: 0,
  filtered: 0,
  duplicate: 0,
  expired: 0,
  errors: 0,
  skipped: 0,
  lost: 0,
}

export interface JobStage extends AsyncDisposable {
  readonly database: Database
  readonly store: JobStore
}

/** Two partitions; the index and the handler `billing` stand at 0. */
export async function createJobStage({
  connectionsMax = 6,
  logger = silentLogger,
  queued = false,
}: { connectionsMax?: number; logger?: Logger; queued?: boolean } = {}): Promise<JobStage> {
  const server = await createMigratedDatabase()
  const database = openDatabase({
    url: server.url,
    connectionsMax,
    applicationName: 'test',
    logger: silentLogger,
  })
  await migrate(database)
  const store = createPostgresJobStore(database, { logger, queued })
  for (const partition of [0, 1]) await store.ensureIndex(TOPIC_ID, partition, 0n)
  await store.registerHandler({
    handler: 'billing',
    source: 'shop',
    positions: [0, 1].map((partition) => ({ topicId: TOPIC_ID, partition, next: 0n, first: 0n })),
  })
  // Tests begin with an outbox that has nothing to tell.
  await database.query('DELETE FROM audit')
  return {
    database,
    store,
    [Symbol.asyncDispose]: async () => {
      await database[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

export function claim(offset: number, changes: Partial<DedupClaim> = {}): DedupClaim {
  return {
    source: 'shop',
    key: `key-${offset}`,
    offset: BigInt(offset),
    eventId: `evt-${String(offset).padStart(6, '0')}`,
    timestampMs: 1_000_000n,
    bodyDigest: Buffer.alloc(32, 1),
    windowMs: 10_000,
    ...changes,
  }
}

export interface PlanInput {
  readonly claims: readonly DedupClaim[]
  readonly partition?: number
  readonly handlers?: readonly string[]
  readonly deadOffsets?: readonly bigint[]
}

export function stepRequest({ claims, partition = 0, handlers }: PlanInput): StepRequest {
  const offsets = claims.map(({ offset }) => offset)
  const first = offsets.reduce((low, offset) => (offset < low ? offset : low), offsets[0] ?? 0n)
  return {
    topic: 'ht.events.shop',
    topicId: TOPIC_ID,
    partition,
    first,
    next: first + BigInt(claims.length),
    generation: 'g1',
    handlers: handlers ?? [INDEX_HANDLER, 'billing'],
    claims,
  }
}

/** Of `billing`. */
export function retryOf(budget: number, everyMs = 0): DeadAction {
  return { kind: 'retry', budgets: new Map([['billing', budget]]), everyMs }
}

export function plan(store: JobStore, input: PlanInput): Promise<StepOutcome> {
  return store.commitStep(stepRequest(input), (locked) => decide(input, locked))
}

/** The verdicts that the step was committed with, in the order of its claims: `decide` may be called more than once, and the last call counts. */
export async function verdictsOf(store: JobStore, input: PlanInput): Promise<readonly Verdict[]> {
  let verdicts: readonly Verdict[] = []
  await store.commitStep(stepRequest(input), (locked) => {
    verdicts = input.claims.flatMap(({ offset }) => locked.verdicts.get(offset) ?? [])
    return decide(input, locked)
  })
  return verdicts
}

/** First sights become one event and one job for each locked handler. */
export function decide({ claims, deadOffsets = [] }: PlanInput, locked: LockedStep): StepDecision {
  const firsts = claims.filter(({ offset }) => locked.verdicts.get(offset)?.kind === 'first')
  const handlers = [...locked.handlers].filter((handler) => handler !== INDEX_HANDLER)
  const counts = { ...NO_COUNTS, planned: firsts.length, duplicate: claims.length - firsts.length }
  return {
    events: locked.handlers.has(INDEX_HANDLER)
      ? claims.map(({ offset, eventId, key, source, timestampMs }) => ({
          eventId,
          source,
          type: 'order.paid',
          subject: null,
          receivedAtMs: Number(timestampMs),
          offset,
          timestampMs,
          uniqueKey: key,
          sizeBytes: 2,
          verdict: locked.verdicts.get(offset) ?? { kind: 'first' },
        }))
      : [],
    jobs: handlers.flatMap((handler) =>
      firsts.map(({ offset, eventId, source }) => {
        const dead = deadOffsets.includes(offset)
        return {
          jobId: `${eventId}.${handler}`,
          eventId,
          handler,
          source,
          eventType: 'order.paid',
          offset,
          state: dead ? ('dead' as const) : ('available' as const),
          errorClass: dead ? 'filter_error' : null,
          errorDetail: null,
          maxAttempts: 3,
        }
      }),
    ),
    steps: [...locked.handlers].map((handler) => ({
      handler,
      counts,
      conflicts: 0,
      plannedOffsets: firsts.map(({ offset }) => offset),
    })),
  }
}

export async function take(store: JobStore, slots = 100, leaseMs = LEASE_MS): Promise<readonly TakenJob[]> {
  const { jobs } = await store.takeDue({ handler: 'billing', slots, leaseMs, generation: 'g1' })
  return jobs
}

export function outcome(job: TakenJob, next: NextState): AttemptOutcome {
  const success = next.state === 'completed'
  return {
    job,
    statusCode: success ? 200 : 500,
    errorClass: success ? null : 'http_5xx',
    errorDetail: null,
    timings: { totalMs: 12.5, dnsMs: null, connectMs: 1, tlsMs: null, firstByteMs: 10 },
    remoteAddress: '127.0.0.1',
    responseBody: success ? null : Buffer.from('oops'),
    requestDigest: Buffer.alloc(32, 2),
    generation: 'g1',
    next,
  }
}
