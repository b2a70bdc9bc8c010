/**
 * What a recovery makes of facts that came apart: an attempt and its plan step are told in different partitions, so that
 * the archive may hold the one without the other.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { parseFact, type RowFact } from '../../core/recovery/fact.ts'
import { claim, createJobStage, decide, outcome, plan, stepRequest, take } from '../support/job-stage.ts'
import { outboxRows } from '../support/outbox-rows.ts'

const INPUT = { claims: [claim(0), claim(1)] }
const USED = { incarnation: 1, auditId: 1_000n }
const PAUSE = {
  actor: 'token',
  action: 'handler.pause',
  target: 'billing',
  reason: 'night',
  details: {},
} as const
const NOTHING = { noted: [], planned: [], counts: {}, used: USED }

/** Of a life that answered its first job and let the second be tried again. */
async function toldAttempts(): Promise<readonly RowFact[]> {
  await using lost = await createJobStage()
  await plan(lost.store, INPUT)
  const [answered, failed] = await take(lost.store)
  assert.ok(answered !== undefined && failed !== undefined)
  await lost.store.recordOutcomes([
    outcome(answered, { state: 'completed' }),
    outcome(failed, { state: 'retryable', delayMs: 0 }),
  ])
  return await toldFacts(lost.store, 2)
}

async function toldFacts(store: JobStore, atLeast: number): Promise<readonly RowFact[]> {
  const { rows } = await outboxRows(store, 'attempts', atLeast)
  return rows.flatMap(({ value }) => {
    const fact = parseFact({ value: Buffer.from(value) })
    return fact === null || fact.kind === 'plan_step' ? [] : [fact]
  })
}

test('a recovery that plans what it knows by attempts alone makes no job again, and goes on counting', async () => {
  const facts = await toldAttempts()
  assert.equal(facts.length, 2)
  await using stage = await createJobStage()
  const { store } = stage
  await store.beginRecovery(USED, {})
  await store.recoverFacts(facts.map((fact) => ({ fact, retryAtMs: 0, attemptsMax: 3 })))
  assert.deepEqual(await store.commitRest(stepRequest(INPUT), (locked) => decide(INPUT, locked)), {
    kind: 'committed',
    planned: ['billing'],
  })
  assert.deepEqual(await take(store), [], 'nothing is taken before the store is whole')
  assert.ok(await store.endRecovery(NOTHING))
  const taken = await take(store)
  assert.deepEqual(
    taken.map(({ jobId, attempt }) => [jobId, attempt]),
    [[facts[1]?.row['job_id'], 2]],
  )
  const ends = await stage.database.query<{ job_id: string }>('SELECT job_id FROM jobs_done')
  assert.deepEqual(
    ends.map((row) => row.job_id),
    [facts[0]?.row['job_id']],
  )
})

test("an operator's action waits until the store is whole, and what is told of earlier ones is brought back", async () => {
  await using lost = await createJobStage()
  await lost.store.setHandlerStatus('billing', 'paused', PAUSE)
  const { rows } = await outboxRows(lost.store, 'audit')
  const [fact] = rows.flatMap(({ value }) => parseFact({ value: Buffer.from(value) }) ?? [])
  assert.ok(fact?.kind === 'audit')
  await using stage = await createJobStage()
  await stage.store.beginRecovery(USED, {})
  await assert.rejects(
    stage.store.setHandlerStatus('billing', 'active', { ...PAUSE, action: 'handler.enable' }),
    (error) => isHooktrailError(error, 'STORE_UNAVAILABLE'),
  )
  assert.equal(await stage.store.recoverFacts([{ fact, retryAtMs: 0, attemptsMax: 1 }]), 1)
  assert.deepEqual(
    (await stage.store.handlers()).map(({ status }) => status),
    ['paused'],
  )
  assert.ok(await stage.store.endRecovery(NOTHING))
  await stage.store.setHandlerStatus('billing', 'active', { ...PAUSE, action: 'handler.enable' })
})

test('an outcome that a recovery has brought back already is not told once more', async () => {
  await using lost = await createJobStage()
  await plan(lost.store, INPUT)
  const [job, other] = await take(lost.store)
  assert.ok(job !== undefined && other !== undefined)
  const answered = outcome(job, { state: 'completed' })
  await lost.store.recordOutcomes([answered])
  const facts = await toldFacts(lost.store, 1)
  await using stage = await createJobStage()
  const { store } = stage
  await store.beginRecovery(USED, {})
  await store.recoverFacts(facts.map((fact) => ({ fact, retryAtMs: 0, attemptsMax: 3 })))
  await store.commitRest(stepRequest(INPUT), (locked) => decide(INPUT, locked))
  assert.ok(await store.endRecovery(NOTHING))
  const late = await store.recordOutcomes([answered, outcome(other, { state: 'completed' })])
  assert.deepEqual([...late], [other.jobId])
  assert.equal((await store.listAttempts(job.jobId)).length, 1)
  assert.equal((await store.listAttempts(other.jobId)).length, 1)
  assert.deepEqual(
    (await take(store)).map(({ jobId }) => jobId),
    [other.jobId],
    'nobody told of its outcome in time',
  )
})
