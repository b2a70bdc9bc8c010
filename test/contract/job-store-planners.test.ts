/**
 * Two planners on one partition, the first one really stopped inside its transaction; and locks in crossed order. On each
 * size: with hints outside the job store (full) the statements that write a step are others.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import type { Database, Queryable } from '../../adapters/postgres/database.ts'
import { claim, createJobStage, plan, type JobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { outboxRows } from '../support/outbox-rows.ts'

/** Too many for one statement: planned in a transaction of several. */
const INPUT = { claims: Array.from({ length: 20 }, (_, n) => claim(n)) }
const SMALL_INPUT = { claims: [claim(0), claim(1)] }
const POLLS_MAX = 2_000

function testOnSizes(name: string, body: (queued: boolean) => Promise<void>): void {
  test(`${name}: one box, Postgres and S3`, () => body(false))
  test(`${name}: full`, () => body(true))
}

testOnSizes(
  'a planner waits on the position row for one that is stopped in its transaction, and then loses',
  async (queued) => {
    await using stage = await createJobStage({ queued })
    const held = await holdEvents(stage.database)
    const first = plan(stage.store, INPUT)
    const firstPid = await waiterFor(stage.database, held.pid)
    const second = plan(stage.store, INPUT)
    const secondPid = await waiterFor(stage.database, firstPid)
    assert.match(await statementOf(stage.database, firstPid), /INSERT INTO events/)
    assert.match(await statementOf(stage.database, secondPid), /FROM positions/)
    await held.release()
    assert.deepEqual(await Promise.all([first, second]), [
      { kind: 'committed', planned: ['billing'] },
      { kind: 'lost' },
    ])
    await assertPlannedOnce(stage)
  },
)

testOnSizes(
  'when the planner that is stopped in its transaction dies, the one that waits for it plans',
  async (queued) => {
    await using stage = await createJobStage({ queued })
    const held = await holdEvents(stage.database)
    const first = plan(stage.store, INPUT)
    const firstPid = await waiterFor(stage.database, held.pid)
    const second = plan(stage.store, INPUT)
    await waiterFor(stage.database, firstPid)
    const died = assert.rejects(first, { code: 'STORE_UNAVAILABLE' })
    await stage.database.query('SELECT pg_terminate_backend($1::int4)', [firstPid])
    await died
    await held.release()
    assert.deepEqual(await second, { kind: 'committed', planned: ['billing'] })
    assert.deepEqual(await plan(stage.store, INPUT), { kind: 'lost' })
    await assertPlannedOnce(stage)
  },
)

testOnSizes('of two planners whose step is one statement the one that comes second loses', async (queued) => {
  await using stage = await createJobStage({ queued })
  const held = await holdKey(stage.database)
  const first = plan(stage.store, SMALL_INPUT)
  const firstPid = await waiterFor(stage.database, held.pid)
  const second = plan(stage.store, SMALL_INPUT)
  await waiterFor(stage.database, firstPid)
  await held.giveUp()
  assert.deepEqual(await Promise.all([first, second]), [
    { kind: 'committed', planned: ['billing'] },
    { kind: 'lost' },
  ])
  await assertPlannedOnce(stage, SMALL_INPUT)
})

testOnSizes('a step of one statement that meets a known key plans it as a duplicate', async (queued) => {
  await using stage = await createJobStage({ queued })
  await plan(stage.store, SMALL_INPUT)
  const copies = [claim(0, { eventId: 'copy-0' }), claim(1, { key: 'new-1', eventId: 'evt-new' })]
  assert.deepEqual(await plan(stage.store, { claims: copies, partition: 1 }), {
    kind: 'committed',
    planned: ['billing'],
  })
  const rows = await stage.database.query(
    'SELECT event_id, original_id FROM events WHERE partition_no = 1 ORDER BY record_offset',
  )
  assert.deepEqual(rows, [
    { event_id: 'copy-0', original_id: 'evt-000000' },
    { event_id: 'evt-new', original_id: null },
  ])
})

testOnSizes(
  'a planner that waits for the key of another partition finds a duplicate when that one commits',
  async (queued) => {
    await using stage = await createJobStage({ queued })
    const held = await holdEvents(stage.database)
    const first = plan(stage.store, INPUT)
    const firstPid = await waiterFor(stage.database, held.pid)
    const second = plan(stage.store, { ...INPUT, partition: 1 })
    const secondPid = await waiterFor(stage.database, firstPid)
    assert.match(await statementOf(stage.database, secondPid), /INSERT INTO first_seen/)
    await held.release()
    assert.deepEqual(await Promise.all([first, second]), [
      { kind: 'committed', planned: ['billing'] },
      { kind: 'committed', planned: [] },
    ])
  },
)

testOnSizes('a step that Postgres ends as a deadlock is run again and commits', async (queued) => {
  await using stage = await createJobStage({ queued })
  await using other = await stage.database.connect()
  const otherDone = Promise.withResolvers<void>()
  let attempts = 0
  // Not while the other one waits for a row that the first attempt gave up: the second would take it once more.
  const gated = onTransaction(stage.database, async () => {
    if (++attempts > 1) await otherDone.promise
  })
  const store = createPostgresJobStore(gated, { logger: silentLogger, queued })
  const key = await holdKey(stage.database)
  const step = plan(store, INPUT)
  const stepPid = await waiterFor(stage.database, key.pid)
  // The other one waits already when the step closes the circle, and never looks itself: the step finds out.
  await other.query(`SET deadlock_timeout = '60s'; BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE`)
  const asked = other.query(`SELECT 1 FROM positions WHERE handler = 'billing' FOR UPDATE`)
  await waiterFor(stage.database, stepPid)
  await key.giveUp()
  await asked
  await other.query('COMMIT')
  otherDone.resolve()
  assert.deepEqual(await step, { kind: 'committed', planned: ['billing'] })
  assert.equal(attempts, 2)
  await assertPlannedOnce(stage)
})

testOnSizes(
  'partitions that plan the same keys in opposite order at once make each key first once',
  async (queued) => {
    await using stage = await createJobStage({ queued })
    const keys = Array.from({ length: 300 }, (_, n) => `key-${n}`)
    const batches = [0, 1, 2].map((batch) =>
      [keys, keys.toReversed()].map((order) => order.slice(batch * 100)),
    )
    for (const [batch, orders] of batches.entries()) {
      const stepped = orders.map((order, partition) =>
        plan(stage.store, {
          partition,
          claims: order
            .slice(0, 100)
            .map((key, n) => claim(batch * 100 + n, { key, eventId: `evt-${partition}-${batch}-${n}` })),
        }),
      )
      for (const outcome of await Promise.all(stepped)) assert.equal(outcome.kind, 'committed')
    }
    const seen = await stage.database.query<{ firsts: bigint; keys: bigint }>(
      `SELECT count(*) AS firsts, count(DISTINCT unique_key) AS keys FROM events WHERE original_id IS NULL`,
    )
    assert.deepEqual(seen, [{ firsts: 300n, keys: 300n }])
    assert.equal((await stage.store.openJobs())[0]?.available, 300)
  },
)

interface Held {
  readonly pid: number
  release(): Promise<void>
}

/** A third session that keeps every step from writing its events, after it locked its positions and claimed its keys. */
async function holdEvents(database: Database): Promise<Held> {
  const connection = await database.connect()
  await connection.query('BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE')
  return {
    pid: await pidOf(connection),
    release: async () => {
      await connection.query('COMMIT')
      await connection[Symbol.asyncDispose]()
    },
  }
}

/** A third session that is about to claim the first key: a step waits for it with its positions locked. */
async function holdKey(database: Database): Promise<{ readonly pid: number; giveUp(): Promise<void> }> {
  const connection = await database.connect()
  await connection.query(
    `BEGIN; INSERT INTO first_seen VALUES ('shop', 'key-0', 'another', 0, 0, 0, 'another', '')`,
  )
  return {
    pid: await pidOf(connection),
    giveUp: async () => {
      await connection.query('ROLLBACK')
      await connection[Symbol.asyncDispose]()
    },
  }
}

async function pidOf(connection: Queryable): Promise<number> {
  const [row] = await connection.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  assert.ok(row)
  return row.pid
}

/** The session that waits for `pid`, asked for until there is one. */
async function waiterFor(database: Queryable, pid: number): Promise<number> {
  for (let poll = 0; poll < POLLS_MAX; poll++) {
    const [row] = await database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
          AND $1::int4 = ANY (pg_blocking_pids(pid))`,
      [pid],
    )
    if (row !== undefined) return row.pid
  }
  return assert.fail(`nobody waits for session ${pid}`)
}

async function statementOf(database: Queryable, pid: number): Promise<string> {
  const [row] = await database.query<{ query: string }>(
    'SELECT query FROM pg_stat_activity WHERE pid = $1::int4',
    [pid],
  )
  return row?.query ?? ''
}

function onTransaction(database: Database, before: () => Promise<void>): Database {
  return {
    ...database,
    transaction: (run) =>
      database.transaction(async (transaction) => {
        await before()
        return run(transaction)
      }),
  }
}

async function assertPlannedOnce({ store }: JobStage, { claims } = INPUT): Promise<void> {
  const ids = claims.map(({ eventId }) => eventId).toReversed()
  const { items: events } = await store.listEvents({ limit: 100 })
  assert.deepEqual(
    events.map(({ eventId, verdict }) => [eventId, verdict]),
    ids.map((id) => [id, 'first']),
  )
  const { items: jobs } = await store.listJobs({ limit: 100 })
  assert.deepEqual(
    jobs.map(({ jobId }) => jobId),
    ids.map((id) => `${id}.billing`),
  )
  const positions = await store.allPositions()
  const next = BigInt(claims.length)
  assert.deepEqual(
    positions
      .map((position) => [position.partition, position.next])
      .sort(([a], [b]) => Number(a) - Number(b)),
    [
      [0, next],
      [0, next],
      [1, 0n],
      [1, 0n],
    ],
  )
  const { rows } = await outboxRows(store, 'plan_steps')
  assert.equal(rows.length, 2)
}
