/**
 * What a recovery makes of facts that came apart: an attempt and its plan step are told in different partitions, so that
 * the archive may hold the one without the other.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFact, type RowFact } from '../../core/recovery/fact.ts'
import { claim, createJobStage, decide, outcome, plan, stepRequest, take } from '../support/job-stage.ts'
import { outboxRows } from '../support/outbox-rows.ts'

const INPUT = { claims: [claim(0), claim(1)] }
const USED = { incarnation: 1, auditId: 1_000n }
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
  const { rows } = await outboxRows(lost.store, 'attempts', 2)
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
