/** A connection that went silent, as after a failover that closes nothing: it is given up, and the next one serves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { giveUpWhenSilent } from '../../cli/composition/silent-database.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { HandClock } from '../support/hand-clock.ts'
import { createTestDatabase, silentLogger } from '../support/postgres.ts'
import { startPostgresServer } from '../support/services/postgres-server.ts'

const PID = { name: 'silent_pid', text: 'SELECT pg_backend_pid() AS pid' }
const LONGER_MS = 600_000
/** Of the stop's questions; so many take twice as long as a silent database is waited for. */
const ASK_EVERY_MS = 500
const ASKED_ENOUGH = 20

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
  await using server = await startPostgresServer()
  const { url } = server
  const pool = openDatabase({ url, connectionsMax: 1, applicationName: 'test', logger: silentLogger })
  await pool.query(PID)
  const clock = new HandClock()
  const ended = new AbortController()
  await server.kill('SIGSTOP')
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
})

test('a stop waits for a database that is busy on every connection, and what waits for one is recorded', async () => {
  await using server = await startPostgresServer()
  const options = { url: server.url, applicationName: 'test', logger: silentLogger }
  await using pool = openDatabase({ ...options, connectionsMax: 1 })
  await using other = openDatabase({ ...options, connectionsMax: 1 })
  await other.query('CREATE TABLE public.outcomes (n integer)')
  const asking = { asked: 0, isAsking: false }
  const ended = new AbortController()
  const clock = new HandClock()
  const writing = await other.transaction(async (holder) => {
    await holder.query('LOCK TABLE public.outcomes IN ACCESS EXCLUSIVE MODE')
    const outcomes = [1, 2].map((n) => pool.query('INSERT INTO public.outcomes VALUES ($1)', [n]))
    const watching = giveUpWhenSilent(
      { database: counted(pool, asking), clock, logger: silentLogger },
      ended.signal,
    )
    while (asking.asked < ASKED_ENOUGH && !pool.abandoned.aborted) {
      if (!asking.isAsking) clock.advance(ASK_EVERY_MS)
      await nextTurn()
    }
    return { outcomes, watching }
  })
  await Promise.all(writing.outcomes)
  ended.abort()
  await writing.watching
  assert.ok(!pool.abandoned.aborted)
  assert.deepEqual(await other.query('SELECT count(*)::int AS rows FROM public.outcomes'), [{ rows: 2 }])
})

interface Asking {
  asked: number
  isAsking: boolean
}

/** Tells when an answer is under way, so that the clock stands still meanwhile. */
function counted(pool: Database, asking: Asking): Pick<Database, 'connect' | 'abandon'> {
  return {
    abandon: () => {
      pool.abandon()
    },
    connect: async () => {
      asking.isAsking = true
      const connection = await pool.connect()
      return {
        ...connection,
        [Symbol.asyncDispose]: async () => {
          await connection[Symbol.asyncDispose]()
          asking.asked += 1
          asking.isAsking = false
        },
      }
    },
  }
}
