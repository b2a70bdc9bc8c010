/** What a delivered event costs the database, as exact counts: row versions, round trips, and scans that must not be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import type { Database, Queryable } from '../../adapters/postgres/database.ts'
import type { TakenJob } from '../../core/ports/delivery-store.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { claim, createJobStage, LEASE_MS, outcome, plan, take, TOPIC_ID } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'

test('an event that is planned at once and delivered at the first attempt costs 7 row versions', async () => {
  await using stage = await createJobStage({ connectionsMax: 1 })
  const before = await rowVersions(stage.database)
  await plan(stage.store, { claims: Array.from({ length: 100 }, (_, n) => claim(n)) })
  const jobs = await take(stage.store)
  await stage.store.recordOutcomes(jobs.map((job) => outcome(job, { state: 'completed' })))
  assert.equal(jobs.length, 100)
  // 5 insertions, 1 update and 1 deletion for each event; 2 plan steps and 2 moved positions for each step.
  assert.equal((await rowVersions(stage.database)) - before, 100n * 7n + 4n)
})

/** The statistics of a session are visible once it flushed them: one connection, so that it is the one asked. */
async function rowVersions(database: Database): Promise<bigint> {
  await database.query('SELECT pg_stat_force_next_flush()')
  const [row] = await database.query<{ versions: bigint }>(
    'SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int8 AS versions FROM pg_stat_user_tables',
  )
  return row?.versions ?? 0n
}

test('an event that comes alone is planned in one round trip, taken in one and recorded in one', async () => {
  await using stage = await createJobStage()
  let trips = 0
  const store = createPostgresJobStore(
    countTrips(stage.database, () => trips++),
    { logger: silentLogger },
  )
  await plan(store, { claims: [claim(0)] })
  assert.equal(trips, 1)
  const [job] = await take(store)
  assert.ok(job)
  assert.equal(trips, 2)
  await store.recordOutcomes([outcome(job, { state: 'completed' })])
  assert.equal(trips, 3)
  await plan(store, { claims: Array.from({ length: 100 }, (_, n) => claim(1 + n)) })
  assert.equal(trips, 3 + 4)
})

test('with many jobs waiting and many attempts kept nothing that runs all the time scans a table', async () => {
  await using stage = await createJobStage({ connectionsMax: 1 })
  const { database, store } = stage
  await database.query(
    `INSERT INTO jobs (due, record_offset, partition_no, max_attempts, state, attempt, job_id, event_id, handler, source,
                       event_type, topic, topic_id)
     SELECT now() + interval '1 hour', n, 0, 9, 'retryable', 1, 'w' || n, 'e' || n, 'billing', 'shop', 't', 't', $1
       FROM generate_series(1, 20000) n`,
    [TOPIC_ID],
  )
  await database.query(
    `INSERT INTO attempts (attempt, total_ms, late, job_id, event_id, handler, generation)
     SELECT 1, 1, false, 'w' || n, 'e' || n, 'billing', 'g1' FROM generate_series(1, 20000) n`,
  )
  await database.query(
    `INSERT INTO first_seen SELECT 'shop', 'w' || n, $1, 1, n, 1, 'e' || n, '' FROM generate_series(1, 20000) n`,
    [TOPIC_ID],
  )
  for (const statistics of ['none', 'fresh']) {
    if (statistics === 'fresh') await database.query('VACUUM ANALYZE')
    const before = await scans(database)
    const first = statistics === 'none' ? 0 : 100
    await plan(store, { claims: Array.from({ length: 100 }, (_, n) => claim(first + n)) })
    await store.pumpDue({ windows: [{ handler: 'billing', hintsMax: 64 }], queuedMs: LEASE_MS })
    const jobs = [...(await take(store, 30)), ...(await takeNamed(store, first + 50))]
    assert.equal(jobs.length, 50)
    await store.recordOutcomes(jobs.map((job) => outcome(job, { state: 'retryable', delayMs: LEASE_MS })))
    await store.reapExpired(10)
    await store.openJobs()
    await store.readOutbox('attempts', 100)
    assert.deepEqual(await scans(database), before, `statistics: ${statistics}`)
  }
})

/** As a queue with hints of its own takes: 20 jobs by their ids. */
async function takeNamed(store: JobStore, first: number): Promise<readonly TakenJob[]> {
  const jobIds = Array.from({ length: 20 }, (_, n) => `${claim(first + n).eventId}.billing`)
  const { jobs } = await store.takeByIds({ handler: 'billing', jobIds, leaseMs: LEASE_MS, generation: 'g1' })
  return jobs
}

/** Scans from end to end so far of each table that grows. */
async function scans(database: Database): Promise<Readonly<Record<string, bigint>>> {
  await database.query('SELECT pg_stat_force_next_flush()')
  const rows = await database.query<{ name: string; scans: bigint }>(
    `SELECT relname AS name, seq_scan AS scans FROM pg_stat_user_tables
      WHERE relname ~ '^(jobs|first_seen|attempts_[0-9]+)$' ORDER BY relname`,
  )
  return Object.fromEntries(rows.map((row) => [row.name, row.scans]))
}

function countTrips(database: Database, onTrip: () => void): Database {
  const counted = (target: Queryable): Queryable => ({
    query: (statement, values) => {
      onTrip()
      return target.query(statement, values)
    },
  })
  return {
    ...database,
    ...counted(database),
    transaction: (run) => {
      // BEGIN and COMMIT.
      onTrip()
      onTrip()
      return database.transaction((transaction) => run(counted(transaction)))
    },
  }
}
