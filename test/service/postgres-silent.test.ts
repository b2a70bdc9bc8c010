/** A connection that went silent, as after a failover that closes nothing: it is given up, and the next one serves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDatabase, type Database } from '../../adapters/postgres/pool.ts'
import { giveUpWhenSilent } from '../../cli/composition/silent-database.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { HandClock } from '../support/hand-clock.ts'
import { createTestDatabase, silentLogger } from '../support/postgres.ts'

const PID = { name: 'silent_pid', text: 'SELECT pg_backend_pid() AS pid' }
const LONGER_MS = 600_000

interface Silence {
  /** The only connection of the pool, stopped when `work` begins. */
  readonly work: (pool: Database) => Promise<unknown>
  /** Of the pool: what `work` must do with, unless it says otherwise itself. */
  readonly answerMsMax: number
}

async function assertGivenUp({ work, answerMsMax }: Silence): Promise<void> {
  await using database = await createTestDatabase()
  const options = { url: database.url, connectionsMax: 1, applicationName: 'test', logger: silentLogger }
  await using pool = openDatabase({ ...options, answerMsMax })
  const [before] = await pool.query<{ pid: number }>(PID)
  assert.ok(before !== undefined)
  process.kill(before.pid, 'SIGSTOP')
  try {
    await assert.rejects(work(pool), (error) => isHooktrailError(error, 'STORE_UNAVAILABLE'))
    const [after] = await pool.query<{ pid: number }>(PID)
    assert.notEqual(after?.pid, before.pid)
  } finally {
    process.kill(before.pid, 'SIGCONT')
  }
}

test('a statement without an answer is given up with its connection, which nobody gets again', async () => {
  await assertGivenUp({ answerMsMax: 500, work: (pool) => pool.query('SELECT 1') })
})

test('a statement may have a limit of its own', async () => {
  await assertGivenUp({
    answerMsMax: LONGER_MS,
    work: (pool) => pool.query({ ...PID, answerMsMax: 500 }),
  })
})

test('a transaction that cannot begin is given up', async () => {
  await assertGivenUp({ answerMsMax: 500, work: (pool) => pool.transaction(() => Promise.resolve()) })
})

test('a transaction may have a limit of its own', async () => {
  await assertGivenUp({
    answerMsMax: LONGER_MS,
    work: (pool) => pool.transaction(() => Promise.resolve(), { answerMsMax: 500 }),
  })
})

test('rows that are copied out and do not come are given up', async () => {
  await assertGivenUp({ answerMsMax: 500, work: (pool) => pool.copyRows('generate_series', [1, 3]) })
})

test('a transaction whose connection goes silent ends without waiting for its rollback', async () => {
  await using database = await createTestDatabase()
  const { url } = database
  const options = { url, connectionsMax: 1, applicationName: 'test', logger: silentLogger }
  await using pool = openDatabase({ ...options, answerMsMax: 500 })
  let stopped = 0
  try {
    const transaction = pool.transaction(async (connection) => {
      const [own] = await connection.query<{ pid: number }>(PID)
      stopped = own?.pid ?? 0
      process.kill(stopped, 'SIGSTOP')
      await connection.query(PID)
    })
    await assert.rejects(transaction, (error) => isHooktrailError(error, 'STORE_UNAVAILABLE'))
    const [after] = await pool.query<{ pid: number }>(PID)
    assert.notEqual(after?.pid, stopped)
  } finally {
    process.kill(stopped, 'SIGCONT')
  }
})

test('a stop gives up a database that is silent, with all that waits for it', async () => {
  await using database = await createTestDatabase()
  const { url } = database
  const pool = openDatabase({ url, connectionsMax: 1, applicationName: 'test', logger: silentLogger })
  const [backend] = await pool.query<{ pid: number }>(PID)
  const pid = backend?.pid ?? 0
  const clock = new HandClock()
  const ended = new AbortController()
  process.kill(pid, 'SIGSTOP')
  try {
    const isAway = (error: unknown): boolean => isHooktrailError(error, 'STORE_UNAVAILABLE')
    const waiting = assert.rejects(pool.query('SELECT 1'), isAway)
    const watching = giveUpWhenSilent({ database: pool, clock, logger: silentLogger }, ended.signal)
    clock.advance(60_000)
    await watching
    assert.ok(pool.abandoned.aborted)
    await waiting
    await assert.rejects(pool.query('SELECT 1'), isAway)
    await assert.rejects(pool.connect(), isAway)
    await pool[Symbol.asyncDispose]()
  } finally {
    process.kill(pid, 'SIGCONT')
  }
})

test('a stop waits for a database that answers', async () => {
  await using database = await createTestDatabase()
  const { url } = database
  await using pool = openDatabase({ url, connectionsMax: 1, applicationName: 'test', logger: silentLogger })
  const clock = new HandClock()
  const ended = new AbortController()
  const watching = giveUpWhenSilent({ database: pool, clock, logger: silentLogger }, ended.signal)
  await pool.query(PID)
  ended.abort()
  await watching
  assert.ok(!pool.abandoned.aborted)
})
