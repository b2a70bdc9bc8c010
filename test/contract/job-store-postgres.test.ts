/** The job store's contract on a real Postgres, and what only this adapter has: its time slices. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createJobStage, claim, outcome, plan, take } from '../support/job-stage.ts'
import { jobStoreContract } from './job-store.ts'

jobStoreContract(createJobStage)

test('a planner that waits for one stopped inside its transaction loses when that one commits', async () => {
  await using stage = await createJobStage()
  const locked = Promise.withResolvers<void>()
  const release = Promise.withResolvers<void>()
  const stopped = stage.database.transaction(async (transaction) => {
    await transaction.query('UPDATE positions SET next_offset = 1 WHERE partition_no = 0')
    locked.resolve()
    await release.promise
  })
  await locked.promise
  const second = plan(stage.store, { claims: [claim(0)] })
  release.resolve()
  await stopped
  assert.deepEqual(await second, { kind: 'lost' })
  assert.equal((await stage.store.listJobs({ limit: 1 })).items.length, 0)
})

test('old slices are dropped when they are relayed, and a job outlives the slice of its event', async () => {
  await using stage = await createJobStage()
  const retention = { doneHours: 24, deadHours: 24 }
  await stage.database.query(
    `CREATE TABLE events_20200101 PARTITION OF events FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z');
     CREATE TABLE plan_steps_20200101 PARTITION OF plan_steps FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z')`,
  )
  await plan(stage.store, { claims: [claim(0)] })
  await stage.database.query(`UPDATE events SET indexed_at = '2020-01-01 12:00Z'`)
  await stage.database.query(`UPDATE plan_steps SET created_at = '2020-01-01 12:00Z'`)
  assert.deepEqual(await stage.store.maintainSlices(retention), [])
  const { from, rows } = await stage.store.readOutbox('plan_steps', 10)
  const to = rows.at(-1)?.position
  assert.ok(to)
  await stage.store.advanceOutbox('plan_steps', from, to)
  assert.deepEqual(await stage.store.maintainSlices(retention), ['events_20200101', 'plan_steps_20200101'])
  const [job] = await take(stage.store)
  assert.ok(job)
  await stage.store.recordOutcomes([outcome(job, { state: 'completed' })])
  assert.equal((await stage.store.getJob(job.jobId))?.state, 'completed')
})
