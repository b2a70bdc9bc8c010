/** Breakers in the store: one of those who judge alike changes them, takes obey them, and what changed is in the audit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Breaker, BreakerChange } from '../../core/ports/breaker-store.ts'
import { claim, createJobStage, LEASE_MS, outcome, plan, take, type JobStage } from '../support/job-stage.ts'

const OPENING = { handler: 'billing', reason: '20 of 20', pauseMs: 60_000, details: { failed: 20 } }
const DAY_MS = 86_400_000

async function breakerOf({ store }: JobStage): Promise<Breaker> {
  const [breaker] = await store.breakers()
  assert.ok(breaker)
  return breaker
}

/** As if its pause, or the time of its round, had passed. */
async function pass({ database }: JobStage): Promise<void> {
  await database.query('UPDATE handlers SET breaker_until = now()')
}

async function begin(stage: JobStage, roundMs = 60_000): Promise<Breaker | null> {
  const { handler, version } = await breakerOf(stage)
  return stage.store.changeBreaker({ kind: 'begin', handler, version, probes: 1, roundMs })
}

async function openStage(jobs: number): Promise<JobStage> {
  const stage = await createJobStage()
  await plan(stage.store, { claims: Array.from({ length: jobs }, (_, n) => claim(n)) })
  assert.ok(await stage.store.openBreaker(OPENING))
  return stage
}

function takeProbes({ store }: JobStage, { handler, version }: Breaker, slots: number) {
  return store.takeProbes({ handler, version, slots, leaseMs: LEASE_MS, generation: 'g1' })
}

async function auditOf({ database }: JobStage): Promise<readonly (readonly (string | null)[])[]> {
  const rows = await database.query<{ action: string; target: string; reason: string | null }>(
    'SELECT action, target, reason FROM audit ORDER BY id',
  )
  return rows.map(({ action, target, reason }) => [action, target, reason])
}

test('of many who open a breaker one does, and nothing is taken or pumped from then on', async () => {
  await using stage = await createJobStage()
  const { store } = stage
  await plan(store, { claims: [claim(0), claim(1)] })
  const opened = await Promise.all(Array.from({ length: 5 }, () => store.openBreaker(OPENING)))
  assert.equal(opened.filter(Boolean).length, 1)
  const due = await store.takeDue({ handler: 'billing', slots: 9, leaseMs: LEASE_MS, generation: 'g1' })
  assert.deepEqual(due, { jobs: [], nextDueMs: null })
  const jobIds = ['evt-000000.billing', 'evt-000001.billing']
  const byIds = await store.takeByIds({ handler: 'billing', jobIds, leaseMs: LEASE_MS, generation: 'g1' })
  assert.deepEqual(byIds.jobs, [])
  const pumped = await store.pumpDue({ windows: [{ handler: 'billing', hintsMax: 9 }], queuedMs: 1_000 })
  assert.deepEqual(pumped.hints, [])
  assert.equal((await store.getJob('evt-000000.billing'))?.attempt, 0, 'what is refused costs no attempt')
  assert.deepEqual(await auditOf(stage), [['breaker_opened', 'billing', '20 of 20']])
})

test('a round begins once its pause is over, for one of those who try, and never without a job or for a paused handler', async () => {
  await using stage = await openStage(1)
  assert.equal(await begin(stage), null, 'its pause is not over')
  await pass(stage)
  const audit = { actor: 'test', action: 'handler.pause', target: 'billing', reason: null, details: {} }
  await stage.store.setHandlerStatus('billing', 'paused', audit)
  assert.equal(await begin(stage), null)
  await stage.store.setHandlerStatus('billing', 'active', audit)
  const begun = (await Promise.all(Array.from({ length: 5 }, () => begin(stage)))).filter(
    (one) => one !== null,
  )
  assert.deepEqual(
    begun.map(({ state, probes }) => [state, probes]),
    [['probing', 1]],
  )
  const [round] = begun
  assert.ok(round)
  assert.equal((await takeProbes(stage, round, 1)).length, 1)
  await pass(stage)
  assert.equal(await begin(stage), null, 'no other job is due')
})

test('probes are taken in the round that is under way, not by who was replaced', async () => {
  await using stage = await openStage(4)
  await pass(stage)
  const first = await begin(stage)
  assert.ok(first)
  assert.equal((await take(stage.store)).length, 0)
  assert.equal((await takeProbes(stage, first, 1)).length, 1)
  await pass(stage)
  assert.equal((await takeProbes(stage, first, 1)).length, 0, 'its time is over')
  const second = await begin(stage)
  assert.ok(second)
  assert.equal((await takeProbes(stage, first, 1)).length, 0, 'another round is under way')
  assert.equal((await takeProbes(stage, second, 2)).length, 2)
  const stale: BreakerChange = { kind: 'close', handler: 'billing', version: first.version }
  assert.equal(await stage.store.changeBreaker(stale), null)
})

test('a breaker that opens again waits for longer, one that closes lets all be taken, and both ends are in the audit', async () => {
  await using stage = await openStage(3)
  const { store } = stage
  await pass(stage)
  const round = await begin(stage)
  assert.ok(round)
  const reopened = await store.changeBreaker({ ...round, kind: 'reopen', pauseMs: 9_000, failures: 1 })
  assert.deepEqual([reopened?.state, reopened?.failures, reopened?.probes], ['open', 1, 0])
  assert.ok((reopened?.waitMs ?? 0) > 8_000)
  await pass(stage)
  const again = await begin(stage)
  assert.ok(again)
  const wide = await store.changeBreaker({ ...again, kind: 'widen', probes: 2, roundMs: 60_000 })
  assert.deepEqual([wide?.state, wide?.probes], ['probing', 2])
  assert.ok(wide)
  const closed = await store.changeBreaker({ ...wide, kind: 'close' })
  assert.deepEqual([closed?.state, closed?.failures], ['closed', 0])
  assert.deepEqual(await store.breakers(), [])
  assert.equal((await take(store)).length, 3)
  assert.deepEqual(
    (await auditOf(stage)).map(([action]) => action),
    ['breaker_opened', 'breaker_closed'],
  )
})

test('hints that were dropped while the breaker was open are pumped again when it closes', async () => {
  await using stage = await createJobStage({ queued: true })
  const { store } = stage
  await plan(store, { claims: [claim(0)] })
  await store.openBreaker({ ...OPENING, pauseMs: 0 })
  const round = await begin(stage)
  assert.ok(round)
  const windows = [{ handler: 'billing', hintsMax: 9 }]
  await store.changeBreaker({ ...round, kind: 'close' })
  assert.equal((await store.pumpDue({ windows, queuedMs: 60_000 })).hints.length, 1)
})

test('a handler without a success for so long is disabled once, with its audit row, and begins anew when enabled', async () => {
  await using stage = await createJobStage()
  const { store, database } = stage
  const request = { handler: 'billing', afterMs: 5 * DAY_MS, reason: 'no_success' }
  await store.noteFailing({ failing: [{ handler: 'billing', forMs: 5 * DAY_MS }], delivered: [] })
  await store.noteFailing({ failing: [{ handler: 'billing', forMs: 1 }], delivered: [] })
  assert.ok(((await breakerOf(stage)).failingForMs ?? 0) >= 5 * DAY_MS, 'what is noted stays')
  const disabled = await Promise.all([store.disableFailing(request), store.disableFailing(request)])
  assert.deepEqual(disabled.sort(), [false, true])
  const [view] = await store.handlers()
  assert.deepEqual([view?.status, view?.statusReason], ['disabled', 'no_success'])
  assert.deepEqual(await auditOf(stage), [['handler_disabled', 'billing', 'no_success']])
  const audit = { actor: 'test', action: 'handler.enable', target: 'billing', reason: null, details: {} }
  await store.setHandlerStatus('billing', 'active', audit)
  assert.equal(await store.disableFailing(request), false)
  await database.query(`UPDATE handlers SET failing_since = now() - interval '6 days'`)
  await store.noteFailing({ failing: [], delivered: ['billing'] })
  assert.equal(await store.disableFailing(request), false, 'a success ends it')
})

test('what is under way when the breaker opens is recorded as ever', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: [claim(0)] })
  const [job] = await take(stage.store)
  assert.ok(job)
  await stage.store.openBreaker(OPENING)
  assert.equal((await stage.store.recordOutcomes([outcome(job, { state: 'completed' })])).size, 0)
  assert.equal((await stage.store.getJob(job.jobId))?.state, 'completed')
})

test('a pause from before the clock went back is over, and one that is asked for is not', async () => {
  await using stage = await openStage(1)
  assert.equal(await begin(stage), null)
  await stage.database.query(`UPDATE handlers SET breaker_until = breaker_until + interval '1 hour'`)
  assert.equal((await breakerOf(stage)).waitMs, 0)
  assert.equal((await begin(stage))?.state, 'probing')
})
