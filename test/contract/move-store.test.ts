/**
 * The job store moved into another database. Goal: whoever works on the copy goes on as if nothing had been, and nobody
 * can work on two sides at once. Method: two real databases, filled through the port, copied, and used through the port.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { copyStore } from '../../adapters/postgres/move/copy-store.ts'
import {
  clearMark,
  markSource,
  markTarget,
  markWhole,
  readMark,
  refuseMoved,
} from '../../adapters/postgres/move/move-marks.ts'
import { databaseIdentity, foundData } from '../../adapters/postgres/move/store-contents.ts'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import {
  claim,
  createJobStage,
  outcome,
  plan,
  take,
  verdictsOf,
  type JobStage,
} from '../support/job-stage.ts'
import { outboxRows } from '../support/outbox-rows.ts'
import { createTestDatabase, silentLogger } from '../support/postgres.ts'

const MOVE = {
  moveId: '6f2d3c0e-0000-4000-8000-000000000001',
  logDriver: 'kafka',
  place: 'there',
  database: 'db',
} as const
const OTHER_MOVE = '6f2d3c0e-0000-4000-8000-000000000002'

interface Stage extends AsyncDisposable {
  readonly from: JobStage
  readonly to: Database
  readonly store: JobStore
  /** Resolves with the rows of each table. */
  copy(): Promise<ReadonlyMap<string, number>>
}

async function openStage(): Promise<Stage> {
  await using opened = new AsyncDisposableStack()
  const from = opened.use(await createJobStage())
  const to = opened.use(await openEmpty(opened))
  await markSource(from.database, MOVE, true)
  await markTarget(to, MOVE)
  const kept = opened.move()
  return {
    ...{ from, to },
    store: createPostgresJobStore(to, { logger: silentLogger }),
    copy: async () => {
      const rows = new Map<string, number>()
      const onTable = (name: string, count: number): unknown => rows.set(name, count)
      await copyStore({ from: from.database, to, moveId: MOVE.moveId, onTable })
      return rows
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

async function openEmpty(opened: AsyncDisposableStack): Promise<Database> {
  const { url } = opened.use(await createTestDatabase())
  const options = { url, connectionsMax: 4, applicationName: 'test', logger: silentLogger }
  const database = openDatabase(options)
  await migrate(database)
  return database
}

/** The mark stops takes: a job is tried before the move begins. */
async function tryOne({ database, store }: JobStage): Promise<void> {
  await database.query(`UPDATE store SET state = 'ok'`)
  const [job] = await take(store, 1)
  assert.ok(job !== undefined)
  await store.recordOutcomes([outcome(job, { state: 'retryable', delayMs: 0 })])
}

test('a copied store knows its keys, has its jobs and their attempts, and goes on with them', async () => {
  await using stage = await openStage()
  const { from, store } = stage
  await plan(from.store, { claims: [0, 1, 2].map((n) => claim(n)) })
  await tryOne(from)
  const rows = await stage.copy()
  assert.deepEqual(
    ['events', 'jobs', 'attempts', 'plan_steps', 'first_seen'].map((name) => rows.get(name)),
    [3, 3, 1, 2, 3],
  )
  const jobs = await take(store)
  assert.deepEqual(jobs.map(({ attempt }) => attempt).toSorted(), [1, 1, 2])
  await store.recordOutcomes(jobs.map((job) => outcome(job, { state: 'completed' })))
  const [attempted] = jobs.filter(({ attempt }) => attempt === 2)
  const attempts = await store.listAttempts(attempted?.jobId ?? '')
  assert.deepEqual(attempts.map(({ statusCode }) => statusCode).toSorted(), [200, 500])
  const again = claim(3, { key: 'key-0' })
  const [verdict] = await verdictsOf(store, { claims: [again] })
  assert.deepEqual(verdict, { kind: 'duplicate', originalEventId: claim(0).eventId, conflict: false })
})

test('what the outbox had not told is told by the copy, before what came after the move', async () => {
  await using stage = await openStage()
  const { from, store } = stage
  await plan(from.store, { claims: [claim(0)] })
  await tryOne(from)
  await stage.copy()
  await store.recordOutcomes((await take(store)).map((job) => outcome(job, { state: 'completed' })))
  const { rows } = await outboxRows(store, 'attempts', 2)
  assert.deepEqual(
    rows.map(({ record }) => [record['attempt'], record['status_code']]),
    [
      [1, 500],
      [2, 200],
    ],
  )
  assert.equal(new Set(rows.map(({ id }) => id)).size, 2)
})

test('days gone by keep their slices, and the installation its age', async () => {
  await using stage = await openStage()
  const { database } = stage.from
  await database.query(`
    CREATE TABLE events_20200102 (LIKE events INCLUDING DEFAULTS INCLUDING STORAGE);
    ALTER TABLE events ATTACH PARTITION events_20200102
      FOR VALUES FROM ('2020-01-02T00:00:00Z') TO ('2020-01-03T00:00:00Z');
    UPDATE schema_migrations SET applied_at = '2020-01-01T00:00:00Z'`)
  await plan(stage.from.store, { claims: [claim(0)] })
  await database.query(`UPDATE events SET indexed_at = '2020-01-02T12:00:00Z'`)
  await stage.copy()
  const [slices] = await stage.to.query<{ old: bigint; strays: bigint }>(
    'SELECT (SELECT count(*) FROM events_20200102) AS old, (SELECT count(*) FROM events_default) AS strays',
  )
  assert.deepEqual(slices, { old: 1n, strays: 0n })
  const ages = await stage.to.query('SELECT FROM schema_migrations WHERE applied_at > $1', [
    '2020-01-01T00:00:00Z',
  ])
  assert.equal(ages.length, 0)
})

test('a store that holds anything is not copied over, and nothing of it is changed', async () => {
  await using stage = await openStage()
  await stage.store.ensureIndex('cd'.repeat(16), 0, 0n)
  await assert.rejects(stage.copy(), { code: 'MOVE_TARGET_NOT_EMPTY', details: { found: 'positions' } })
  assert.deepEqual(await foundData(stage.to), ['positions'])
  assert.equal((await readMark(stage.to))?.isWhole, false)
})

test('neither side starts while a move is under way, the new one when it is whole, the old one never', async () => {
  await using stage = await openStage()
  const old = stage.from.database
  for (const side of [old, stage.to])
    await assert.rejects(refuseMoved(side, 'kafka'), { code: 'STORE_MOVE_UNFINISHED' })
  await stage.copy()
  await refuseMoved(stage.to, 'kafka')
  await assert.rejects(refuseMoved(stage.to, 'postgres'), { code: 'STORE_MOVED' })
  await assert.rejects(refuseMoved(old, 'postgres'), { code: 'STORE_MOVE_UNFINISHED' })
  await markWhole(old, MOVE.moveId, 'source')
  await assert.rejects(refuseMoved(old, 'postgres'), { code: 'STORE_MOVED' })
})

test('a mark closes the log and ends takes until it is taken back, and is of one move', async () => {
  await using opened = new AsyncDisposableStack()
  const { database, store } = opened.use(await createJobStage())
  const options = { topicPrefix: 'ht', retentionMs: 1_000, clock: systemClock, logger: silentLogger }
  const log = opened.use(await createPostgresEventLog(database, options))
  const [topic] = await log.ensureTopics([{ name: 'ht.events.shop', partitions: 1 }])
  assert.ok(topic !== undefined)
  const append = () => log.append([{ topic, partition: 0, key: null, value: Buffer.from('x'), headers: [] }])
  await append()
  await plan(store, { claims: [claim(0)] })
  await markSource(database, MOVE, true)
  await markSource(database, { ...MOVE, moveId: OTHER_MOVE }, true)
  assert.equal((await readMark(database))?.moveId, MOVE.moveId)
  await markSource(database, { ...MOVE, place: 'corrected' }, true)
  assert.equal((await readMark(database))?.place, 'corrected')
  await assert.rejects(append(), { code: 'LOG_UNAVAILABLE' })
  assert.deepEqual(await take(store), [])
  await clearMark(database, OTHER_MOVE)
  await assert.rejects(append(), { code: 'LOG_UNAVAILABLE' })
  await clearMark(database, MOVE.moveId)
  const [position] = await append()
  assert.equal(position?.offset, 1n)
  assert.equal((await take(store)).length, 1)
})

test('one database is told from another on the same server', async () => {
  await using stage = await openStage()
  const identity = await databaseIdentity(stage.to)
  assert.equal(await databaseIdentity(stage.to), identity)
  assert.notEqual(await databaseIdentity(stage.from.database), identity)
})
