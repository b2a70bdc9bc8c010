/** The job store's contract on a real Postgres, and what only this adapter has: its time slices. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../adapters/system/clock.ts'
import { createJobStage, claim, outcome, plan, take } from '../support/job-stage.ts'
import { jobStoreContract } from './job-store.ts'
import { outboxRows } from '../support/outbox-rows.ts'

jobStoreContract(createJobStage)

test('old slices are dropped when they are relayed, and a job outlives the slice of its event', async () => {
  await using stage = await createJobStage()
  const retention = { doneHours: 24, deadHours: 24, firstSeenMs: 86_400_000 }
  await stage.database.query(
    `CREATE TABLE events_20200101 PARTITION OF events FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z');
     CREATE TABLE plan_steps_20200101 PARTITION OF plan_steps FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z')`,
  )
  await plan(stage.store, { claims: [claim(0)] })
  await stage.database.query(`UPDATE events SET indexed_at = '2020-01-01 12:00Z'`)
  await stage.database.query(`UPDATE plan_steps SET created_at = '2020-01-01 12:00Z'`)
  assert.deepEqual(await stage.store.maintainSlices(retention), [])
  const { from, rows } = await outboxRows(stage.store, 'plan_steps')
  const to = rows.at(-1)?.position
  assert.ok(to)
  await stage.store.advanceOutbox('plan_steps', from, to)
  assert.deepEqual(await stage.store.maintainSlices(retention), ['events_20200101', 'plan_steps_20200101'])
  const [job] = await take(stage.store)
  assert.ok(job)
  await stage.store.recordOutcomes([outcome(job, { state: 'completed' })])
  assert.equal((await stage.store.getJob(job.jobId))?.state, 'completed')
})

test('attempts stay while their job is dead, longer than those of done jobs, and go after it', async () => {
  await using stage = await createJobStage()
  const retention = { doneHours: 24, deadHours: 24 * 365 * 1_000, firstSeenMs: 86_400_000 }
  await stage.database.query(
    `CREATE TABLE attempts_20200101 PARTITION OF attempts FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z')`,
  )
  await plan(stage.store, { claims: [claim(0)] })
  const [job] = await take(stage.store)
  assert.ok(job)
  await stage.store.recordOutcomes([outcome(job, { state: 'dead' })])
  await stage.database.query(`UPDATE attempts SET created_at = '2020-01-01 12:00Z'`)
  await stage.database.query(`UPDATE jobs_dead SET created_at = '2020-01-01 11:00Z'`)
  const { from, rows } = await outboxRows(stage.store, 'attempts')
  const to = rows.at(-1)?.position
  assert.ok(to)
  await stage.store.advanceOutbox('attempts', from, to)
  assert.deepEqual(await stage.store.maintainSlices(retention), [])
  assert.deepEqual(await stage.store.maintainSlices({ ...retention, deadHours: 24 }), [])
  assert.equal((await stage.store.listAttempts(job.jobId)).length, 1)
  await stage.database.query('DELETE FROM jobs_dead')
  assert.deepEqual(await stage.store.maintainSlices({ ...retention, deadHours: 24 }), ['attempts_20200101'])
})

test('keys seen first are forgotten when they are old, except those that a planner holds', async () => {
  await using stage = await createJobStage()
  const nowMs = BigInt(Math.round(systemClock.now()))
  const old = Array.from({ length: 6_000 }, (_, n) => claim(n, { timestampMs: nowMs - 100_000n }))
  await plan(stage.store, { claims: [...old, claim(6_000, { timestampMs: nowMs })] })
  const retention = { doneHours: 24, deadHours: 24, firstSeenMs: 90_000 }
  await stage.database.transaction(async (transaction) => {
    await transaction.query(`SELECT 1 FROM first_seen WHERE key = 'key-7' FOR UPDATE`)
    await stage.store.maintainSlices(retention)
  })
  const left = await stage.database.query<{ key: string }>('SELECT key FROM first_seen ORDER BY key')
  assert.deepEqual(
    left.map(({ key }) => key),
    ['key-6000', 'key-7'],
  )
  await stage.store.maintainSlices(retention)
  assert.equal((await stage.database.query('SELECT 1 FROM first_seen')).length, 1)
})

test('slices of days to come can be made of every table as it is by now', async () => {
  await using stage = await createJobStage()
  const sliced = await stage.database.query<{ parent: string; column: string }>(
    `SELECT p.relname AS parent, a.attname AS column FROM pg_partitioned_table t
       JOIN pg_class p ON p.oid = t.partrelid JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum = t.partattrs[0]
      WHERE p.relname <> 'log_records' ORDER BY 1`,
  )
  const parents = sliced.map(({ parent }) => parent)
  assert.deepEqual(parents, ['attempts', 'events', 'jobs_dead', 'jobs_done', 'plan_steps'])
  const count = async (): Promise<number> =>
    (await stage.database.query(`SELECT 1 FROM pg_class WHERE relispartition AND relkind = 'r'`)).length
  const before = await count()
  for (const { parent, column } of sliced)
    await stage.database.query('SELECT make_day_slices($1, $2, 9)', [parent, column])
  assert.equal(await count(), before + 2 * parents.length)
})
