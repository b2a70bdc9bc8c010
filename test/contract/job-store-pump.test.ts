/** Marks of hints under way: what the pump's statement finds, in which order, how much of it, and that it stays cheap. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PumpedHints, PumpStore } from '../../core/ports/pump-store.ts'
import { claim, createJobStage, outcome, plan, take } from '../support/job-stage.ts'

const AUDIT = { actor: 'test', action: 'handlers', target: 'billing', reason: null, details: {} }

function pump(store: PumpStore, hintsMax = 100, queuedMs = 60_000): Promise<PumpedHints> {
  return store.pumpDue({ windows: [{ handler: 'billing', hintsMax }], queuedMs })
}

const claims = (first: number, count: number): ReturnType<typeof claim>[] =>
  Array.from({ length: count }, (_, n) => claim(first + n))

test('jobs are pumped once, in the order of partition and offset, with the attempt to come', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: claims(0, 2), partition: 1 })
  const others = claims(0, 2).map((other, n) => ({ ...other, key: `other-${n}`, eventId: `other-${n}` }))
  await plan(stage.store, { claims: others, partition: 0 })
  const { hints, isDue, nextDueMs } = await pump(stage.store)
  assert.deepEqual(
    hints.map(({ handler, jobId, attempt }) => `${handler} ${jobId}.${attempt}`),
    ['other-0', 'other-1', 'evt-000000', 'evt-000001'].map((event) => `billing ${event}.billing.1`),
  )
  assert.deepEqual([isDue, nextDueMs], [true, null])
  assert.deepEqual(await pump(stage.store), { hints: [], isDue: false, nextDueMs: null })
})

test('no more hints are under way than the window holds, and a take makes room', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: claims(0, 50) })
  const jobIds = (await pump(stage.store, 8)).hints.map(({ jobId }) => jobId)
  assert.equal(jobIds.length, 8)
  assert.deepEqual(await pump(stage.store, 8), { hints: [], isDue: true, nextDueMs: null })
  await stage.store.takeByIds({ handler: 'billing', jobIds: jobIds.slice(3), leaseMs: 1, generation: 'g1' })
  assert.equal((await pump(stage.store, 8)).hints.length, 5)
})

test('pumps at the same time announce no job twice', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: claims(0, 200) })
  const rounds = await Promise.all(Array.from({ length: 4 }, () => pump(stage.store, 50)))
  const pumped = rounds.flatMap(({ hints }) => hints.map(({ jobId }) => jobId))
  assert.ok(pumped.length >= 50)
  assert.equal(new Set(pumped).size, pumped.length)
})

test('a retry is pumped when it is due, and what is due next is told', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: claims(0, 2) })
  const jobs = await take(stage.store)
  const [soon, later] = jobs.map((job, n) => outcome(job, { state: 'retryable', delayMs: n * 60_000 }))
  assert.ok(soon !== undefined && later !== undefined)
  await stage.store.recordOutcomes([soon, later])
  const { hints, nextDueMs } = await pump(stage.store)
  assert.deepEqual(
    hints.map(({ jobId, attempt }) => [jobId, attempt]),
    [['evt-000000.billing', 2]],
  )
  assert.ok(nextDueMs !== null && nextDueMs > 30_000 && nextDueMs <= 60_000)
})

test('jobs that were planned as offered are pumped when their marks run out, or are forgotten', async () => {
  await using stage = await createJobStage({ queued: true })
  await plan(stage.store, { claims: claims(0, 3) })
  await plan(stage.store, { claims: claims(3, 20) })
  assert.equal((await pump(stage.store)).hints.length, 0)
  assert.equal(await stage.store.resetQueued(), 23)
  assert.equal((await pump(stage.store, 100, 0)).hints.length, 23)
  assert.equal((await pump(stage.store)).hints.length, 23)
})

test('nothing of a paused handler is pumped; resuming forgets its marks', async () => {
  await using stage = await createJobStage({ queued: true })
  await plan(stage.store, { claims: claims(0, 3) })
  await stage.store.setHandlerStatus('billing', 'paused', AUDIT)
  await stage.store.resetQueued()
  assert.deepEqual(await pump(stage.store), { hints: [], isDue: false, nextDueMs: null })
  await stage.store.setHandlerStatus('billing', 'active', AUDIT)
  assert.equal((await pump(stage.store)).hints.length, 3)
  await stage.store.setHandlerStatus('billing', 'active', AUDIT)
  assert.equal((await pump(stage.store)).hints.length, 3)
})

test('where the job store is its own queue no job carries a mark', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: claims(0, 30) })
  await take(stage.store, 5)
  const marked = await stage.database.query('SELECT 1 FROM jobs WHERE queued_until IS NOT NULL')
  assert.equal(marked.length, 0)
})
