/**
 * Breakers and rates of real dispatchers before a real receiver: what is sent while an endpoint does not work, how it is
 * tried again, where its backlog lies, and what others notice. Time in the store is moved, never waited for.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HandlerConfig } from '../../core/config/config.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { composeDispatcher, type Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import {
  deliverOnce,
  openDispatcherStage,
  planAll,
  runnerOf,
  type DispatcherStage,
} from '../support/dispatcher-stage.ts'
import { HandClock } from '../support/hand-clock.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

const STEP_MS_MAX = 20_000
const LATER = { attemptsMax: 9, backoff: { kind: 'fixed', intervalMs: 3_600_000 } } as const
const PATIENT: Partial<HandlerConfig> = { retry: LATER }
const EVENTS = 60

async function openStage(more: Partial<HandlerConfig> = {}): Promise<DispatcherStage> {
  return openDispatcherStage({ handlers: [{ name: 'app', ...PATIENT, ...more }] })
}

async function appendAndPlan(stage: DispatcherStage, dispatcher: Dispatcher, count: number): Promise<void> {
  await stage.append(Array.from({ length: count }, () => ({})))
  await planAll(dispatcher)
}

/** As if the pause, or the time of a round, had passed; then all rounds until it closes or opens again. */
async function probe(stage: DispatcherStage, dispatcher: Dispatcher): Promise<void> {
  await stage.database.query('UPDATE handlers SET breaker_until = now() WHERE breaker_until > now()')
  await dispatcher.breakers.step(AbortSignal.timeout(STEP_MS_MAX))
  await dispatcher.breakers.settled()
}

/** Fails until the breaker is open. */
async function breakDown(stage: DispatcherStage, dispatcher: Dispatcher): Promise<void> {
  stage.receiver.script('/app', () => 500)
  while ((await stateOf(stage)) === 'closed') {
    assert.ok((await deliverOnce(dispatcher, 'app')) > 0)
    await dispatcher.breakers.step(AbortSignal.timeout(STEP_MS_MAX))
  }
}

async function stateOf(stage: DispatcherStage): Promise<string> {
  return (await stage.store.breakers()).find(({ handler }) => handler === 'app')?.state ?? 'closed'
}

async function attemptsOf({ database }: DispatcherStage): Promise<number> {
  const [row] = await database.query<{ count: bigint }>('SELECT count(*) FROM attempts')
  return Number(row?.count)
}

function eventIds({ receiver }: DispatcherStage): readonly unknown[] {
  return receiver.requests.map(({ headers }) => headers['x-hooktrail-event-id'])
}

/** How many jobs each round of probes took. */
function countProbes(store: JobStore, rounds: number[]): JobStore {
  return {
    ...store,
    takeProbes: async (request) => {
      const jobs = await store.takeProbes(request)
      rounds.push(jobs.length)
      return jobs
    },
  }
}

test('an endpoint that answers nothing but 500 is cut off, and what is refused costs no attempt', async () => {
  await using stage = await openStage()
  const { logger, lines } = recordedLogger()
  const dispatcher = await stage.compose({ logger })
  await appendAndPlan(stage, dispatcher, EVENTS)
  await breakDown(stage, dispatcher)
  const sent = stage.receiver.requests.length
  assert.equal(sent, 20, 'the least that says so')
  const request = { handler: 'app', slots: 20, leaseMs: 60_000, generation: 'g' }
  assert.deepEqual(await stage.store.takeDue(request), { jobs: [], nextDueMs: null })
  assert.deepEqual([await attemptsOf(stage), stage.receiver.requests.length], [sent, sent])
  assert.equal(lines.filter(([, , text]) => text.startsWith('circuit_opened')).length, 1)
  const [opened] = await stage.database.query<{ reason: string }>(
    "SELECT reason FROM audit WHERE action = 'breaker_opened'",
  )
  assert.equal(opened?.reason, '20 of 20 requests failed within 10 s, the last: http_5xx')
})

test('an endpoint that comes back is tried with 1, 2, 4, 8 and 16 different events, then takes go on', async () => {
  await using stage = await openStage()
  const rounds: number[] = []
  const dispatcher = await stage.compose({ store: countProbes(stage.store, rounds) })
  await appendAndPlan(stage, dispatcher, EVENTS)
  await breakDown(stage, dispatcher)
  await probe(stage, dispatcher)
  assert.deepEqual([rounds, await stateOf(stage)], [[1], 'open'], 'still away')
  stage.receiver.script('/app', () => 200)
  await probe(stage, dispatcher)
  assert.deepEqual([rounds, await stateOf(stage)], [[1, 1, 2, 4, 8, 16], 'closed'])
  assert.equal(new Set(eventIds(stage)).size, stage.receiver.requests.length, 'no event twice')
  assert.equal(await deliverOnce(dispatcher, 'app'), EVENTS - 20 - 1 - 31)
  const audit = await stage.database.query<{ action: string }>(
    "SELECT action FROM audit WHERE action <> 'handler_started' ORDER BY id",
  )
  assert.deepEqual(
    audit.map(({ action }) => action),
    ['breaker_opened', 'breaker_closed'],
  )
})

test('an endpoint that fails under a wider round is left alone again, for longer each time', async () => {
  await using stage = await openStage()
  const dispatcher = await stage.compose()
  await appendAndPlan(stage, dispatcher, EVENTS)
  await breakDown(stage, dispatcher)
  const at = stage.receiver.requests.length
  stage.receiver.script('/app', (n) => (n < at + 3 ? 200 : 500))
  await probe(stage, dispatcher)
  const [breaker] = await stage.store.breakers()
  assert.deepEqual([breaker?.state, breaker?.failures], ['open', 1])
  assert.ok((breaker?.waitMs ?? 0) > 5_000, 'longer than the first pause')
  assert.ok(stage.receiver.requests.length - at <= 7, 'one, two, and a round of four')
})

test('while probes are out nothing else is taken, and together they are never more than the concurrency', async () => {
  await using stage = await openStage({ concurrency: 3 })
  const rounds: number[] = []
  const dispatcher = await stage.compose({ store: countProbes(stage.store, rounds) })
  await appendAndPlan(stage, dispatcher, EVENTS)
  await breakDown(stage, dispatcher)
  const at = stage.receiver.requests.length
  stage.receiver.script('/app', () => 200)
  const signal = AbortSignal.timeout(STEP_MS_MAX)
  // A take that waits is ended by the first round, and the next begins once the breaker is closed.
  const waiting = runnerOf(dispatcher, 'app').step(signal)
  await probe(stage, dispatcher)
  assert.equal(await waiting, 0)
  assert.deepEqual([rounds, await stateOf(stage)], [[1, 2], 'closed'])
  assert.equal(await deliverOnce(dispatcher, 'app'), 3)
  assert.equal(stage.receiver.requests.length - at, 6)
})

test('a handler with an open breaker is planned a step at a time, its backlog stays in the log, and all is delivered later', async () => {
  await using stage = await openDispatcherStage({
    handlers: [
      { name: 'app', ...PATIENT },
      { name: 'other', ...PATIENT },
    ],
  })
  const dispatcher = await stage.compose()
  await appendAndPlan(stage, dispatcher, 30)
  await breakDown(stage, dispatcher)
  await appendAndPlan(stage, dispatcher, 600)
  assert.deepEqual(await availableOf(stage), { app: 10, other: 630 })
  while ((await availableOf(stage))['app'] !== undefined) await probe(stage, dispatcher)
  await planAll(dispatcher)
  assert.deepEqual(await availableOf(stage), { app: 500, other: 630 }, 'nothing was left to probe with')
  stage.receiver.script('/app', () => 200)
  await probe(stage, dispatcher)
  await dispatcher.backlog.step()
  await planAll(dispatcher)
  for (let left = 600 - 31; left > 0;) left -= await deliverOnce(dispatcher, 'app')
  assert.equal(new Set(eventIds(stage)).size, 630)
})

async function availableOf({ store }: DispatcherStage): Promise<Record<string, number>> {
  const rows = (await store.openJobs()).filter(({ available }) => available > 0)
  return Object.fromEntries(rows.map(({ handler, available }) => [handler, available]))
}

test('another dispatcher hears of a breaker, and takes over a round whose dispatcher died', async () => {
  await using stage = await openStage()
  const dying = new AbortController()
  const never = new Promise<never>(() => undefined)
  const store: JobStore = {
    ...stage.store,
    takeProbes: (request) => (dying.signal.aborted ? never : stage.store.takeProbes(request)),
  }
  // Never closed: it died.
  const one = await composeDispatcher(stage.config, stage.deps({ owner: 'one', store }))
  const two = await stage.compose({ owner: 'two' })
  await appendAndPlan(stage, two, EVENTS)
  await breakDown(stage, two)
  stage.receiver.script('/app', () => 200)
  dying.abort()
  await stage.database.query('UPDATE handlers SET breaker_until = now()')
  await one.breakers.step(AbortSignal.timeout(STEP_MS_MAX))
  assert.equal(await stateOf(stage), 'probing')
  await two.breakers.step(AbortSignal.timeout(STEP_MS_MAX))
  await two.breakers.settled()
  assert.equal(await stateOf(stage), 'probing', 'its time is not over')
  await probe(stage, two)
  assert.equal(await stateOf(stage), 'closed')
})

test('a stop in the middle of a round costs whoever comes next no pause', async () => {
  await using stage = await openStage()
  const dispatcher = await stage.compose()
  await appendAndPlan(stage, dispatcher, EVENTS)
  await breakDown(stage, dispatcher)
  stage.receiver.script('/app', () => 200)
  const release = stage.receiver.hold('/app')
  const stop = new AbortController()
  await stage.database.query('UPDATE handlers SET breaker_until = now()')
  await dispatcher.breakers.step(stop.signal)
  await stage.receiver.arrived(21)
  stop.abort()
  release()
  await dispatcher.breakers.settled()
  const [breaker] = await stage.store.breakers()
  assert.deepEqual([breaker?.state, breaker?.failures], ['open', 0])
  assert.ok((breaker?.waitMs ?? 1) <= 0)
})

test('a handler that has had no success for five days is disabled at its next failure, and told of', async () => {
  await using stage = await openStage()
  const clock = new HandClock()
  const { logger, lines } = recordedLogger()
  const dispatcher = await stage.compose({ clock, logger })
  const signal = AbortSignal.timeout(STEP_MS_MAX)
  stage.receiver.script('/app', () => 401)
  await appendAndPlan(stage, dispatcher, 2)
  await deliverOnce(dispatcher, 'app')
  clock.advance(60_000)
  await dispatcher.breakers.step(signal)
  await stage.database.query(`UPDATE handlers SET failing_since = failing_since - interval '5 days'`)
  await dispatcher.breakers.step(signal)
  assert.equal((await stage.store.handlers())[0]?.status, 'active', 'nothing failed since')
  await appendAndPlan(stage, dispatcher, 1)
  await deliverOnce(dispatcher, 'app')
  await dispatcher.breakers.step(signal)
  const [view] = await stage.store.handlers()
  assert.deepEqual([view?.status, view?.statusReason], ['disabled', 'no_success: none for 5d'])
  assert.deepEqual(
    lines.filter(([level]) => level === 'error').map(([, , text]) => text),
    ['handler disabled'],
  )
})

test('dispatchers divide a rate, and what one does not use is not saved up', async () => {
  await using stage = await openStage({ ratePerSecond: 10 })
  const clock = new HandClock()
  const one = await stage.compose({ owner: 'one', clock })
  const two = await stage.compose({ owner: 'two', clock })
  await one.serving.step()
  await appendAndPlan(stage, one, EVENTS)
  const stop = new AbortController()
  const takes = [one, two].map(async (dispatcher) => {
    while (!stop.signal.aborted) await runnerOf(dispatcher, 'app').step(stop.signal)
  })
  // One to begin with, then five a second each.
  await stage.receiver.arrived(2)
  for (let n = 1; n <= 5; n++) {
    clock.advance(200)
    await stage.receiver.arrived(2 + 2 * n)
    assert.equal(stage.receiver.requests.length, 2 + 2 * n)
  }
  clock.advance(60_000)
  await stage.receiver.arrived(14)
  stop.abort()
  await Promise.all(takes)
  for (const dispatcher of [one, two])
    await runnerOf(dispatcher, 'app').drained(AbortSignal.timeout(STEP_MS_MAX))
  assert.equal(stage.receiver.requests.length, 14)
})

test('an endpoint that asks for time gets it before anything else is sent, and its breaker stays closed', async () => {
  await using stage = await openStage({ concurrency: 1 })
  const clock = new HandClock()
  const dispatcher = await stage.compose({ clock })
  const slow = { status: 503, headers: { 'retry-after': '7' } }
  stage.receiver.script('/app', (n) => (n === 0 ? slow : 200))
  await appendAndPlan(stage, dispatcher, 2)
  await deliverOnce(dispatcher, 'app')
  const next = runnerOf(dispatcher, 'app').step(AbortSignal.timeout(STEP_MS_MAX))
  clock.advance(6_999)
  assert.deepEqual([await attemptsOf(stage), stage.receiver.requests.length], [1, 1])
  clock.advance(1)
  assert.equal(await next, 1)
  await runnerOf(dispatcher, 'app').drained(AbortSignal.timeout(STEP_MS_MAX))
  assert.equal(await stateOf(stage), 'closed')
})
