/**
 * Isolation by counts and order (I6): handlers whose endpoints hang, fail or refuse delay no other handler, and what
 * waits for them stays in the log. Nothing here is a matter of time: the hanging ones are let go at the end.
 */
import assert from 'node:assert/strict'
import type { HandlerConfig } from '../../core/config/config.ts'
import type { TakeResult } from '../../core/ports/delivery-store.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { StepRequest } from '../../core/ports/plan-store.ts'
import { OPEN_JOBS_MAX } from '../../dispatcher/backlog.ts'
import { STEP_RECORDS_MAX } from '../../dispatcher/partition-planner.ts'
import { startDispatcher } from '../../dispatcher/start-dispatcher.ts'
import { dispatcherSizes } from '../support/dispatcher-sizes.ts'
import type { DispatcherStage } from '../support/dispatcher-stage.ts'
import { scale } from '../support/scale.ts'

const names = (kind: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => `${kind}-${n}`)
const GOOD = names('good', 8)
const HANGING = names('hanging', 5)
const FAILING = names('failing', 5)
const REFUSING = names('refusing', 2)
/** What the 200 slots of the process leave each. */
const CONCURRENCY = 10
const GOOD_EVERY = 10
const APPEND_MAX = 1_000
/** Nobody listens there. */
const REFUSED_URL = 'http://127.0.0.1:9/'
/** Of a dead endpoint: what shows that it is dead, what is under way then, and a probe now and then. */
const DEAD_REQUESTS_MAX = 500

const common = {
  concurrency: CONCURRENCY,
  timeoutMs: 3_600_000,
  retry: { attemptsMax: 9, backoff: { kind: 'fixed', intervalMs: 3_600_000 } },
} satisfies Partial<HandlerConfig>

const handlers = [
  ...GOOD.map((name) => ({ name, events: ['good'], ...common })),
  ...[...HANGING, ...FAILING].map((name) => ({ name, ...common })),
  ...REFUSING.map((name) => ({ name, url: REFUSED_URL, ...common })),
]

interface Witness {
  readonly store: JobStore
  /** Most open jobs that a handler had behind any step. */
  openMost: number
  /** Offsets that each handler's takes brought, in the order of the takes. */
  readonly taken: Map<string, bigint[]>
  /** Ends of planning steps. */
  readonly ends: bigint[]
}

/** Looks behind every planning step and writes down every take. */
function watch(store: JobStore): Witness {
  const note = (result: TakeResult): TakeResult => {
    for (const { handler, offset } of result.jobs)
      witness.taken.set(handler, [...(witness.taken.get(handler) ?? []), offset])
    return result
  }
  const look = async ({ next }: StepRequest): Promise<void> => {
    witness.ends.push(next)
    for (const { available, running } of await store.openJobs())
      witness.openMost = Math.max(witness.openMost, available + running)
  }
  const witness: Witness = {
    openMost: 0,
    taken: new Map(),
    ends: [],
    store: {
      ...store,
      commitStep: async (request, decide) => {
        const outcome = await store.commitStep(request, decide)
        await look(request)
        return outcome
      },
      takeDue: async (request) => note(await store.takeDue(request)),
      takeByIds: async (request) => note(await store.takeByIds(request)),
    },
  }
  return witness
}

async function appendAll(stage: DispatcherStage): Promise<readonly string[]> {
  const good: string[] = []
  for (let from = 0; from < scale.isolationEvents; from += APPEND_MAX) {
    const events = await stage.append(
      Array.from({ length: Math.min(APPEND_MAX, scale.isolationEvents - from) }, (_, n) => ({
        type: (from + n) % GOOD_EVERY === 0 ? 'good' : 'other',
      })),
    )
    good.push(...events.filter(({ type }) => type === 'good').map(({ id }) => id))
  }
  return good
}

/** Resolves when the good ones have had so many requests. */
function untilDelivered({ receiver }: DispatcherStage, count: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  let arrived = 0
  for (const name of GOOD)
    receiver.script(`/${name}`, () => {
      if (++arrived === count) resolve()
      return 200
    })
  return promise
}

const test = await dispatcherSizes()

test('handlers that hang, fail or refuse delay no other, and keep their backlog in the log', async (open) => {
  await using stage = await open(handlers)
  const releases = HANGING.map((name) => stage.receiver.hold(`/${name}`))
  for (const name of FAILING) stage.receiver.script(`/${name}`, () => 500)
  const good = await appendAll(stage)
  const delivered = untilDelivered(stage, good.length * GOOD.length)
  const witness = watch(stage.store)
  await using service = await startDispatcher(stage.config, stage.deps({ store: witness.store }))
  await Promise.race([delivered, service.done.then(() => assert.fail('the dispatcher ended'))])

  const requests = Map.groupBy(stage.receiver.requests, ({ path }) => path)
  for (const name of HANGING)
    assert.equal(requests.get(`/${name}`)?.length, CONCURRENCY, `${name} is still held`)
  for (const release of releases) release()
  await service.stop()
  for (const name of GOOD) {
    const own = requests.get(`/${name}`) ?? []
    assert.ok(own.every(({ headers }) => headers['x-hooktrail-attempt'] === '1'))
    assert.deepEqual(own.map(({ headers }) => headers['x-hooktrail-event-id']).sort(), good.toSorted())
    assert.ok(isInStepOrder(witness, name), `${name} is taken step by step, in the order of the log`)
  }
  for (const name of FAILING) assert.ok((requests.get(`/${name}`)?.length ?? 0) <= DEAD_REQUESTS_MAX, name)
  assert.ok(witness.openMost <= OPEN_JOBS_MAX + STEP_RECORDS_MAX, `${witness.openMost} open jobs`)
})

/** Within a step all jobs are due at once, in no order. */
function isInStepOrder({ taken, ends }: Witness, handler: string): boolean {
  const sorted = ends.toSorted((a, b) => Number(a - b))
  const steps = (taken.get(handler) ?? []).map((offset) => sorted.findIndex((end) => offset < end))
  return steps.every((step, n) => step >= (steps[n - 1] ?? 0))
}
