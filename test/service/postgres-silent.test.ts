/** A connection that went silent, as after a failover that closes nothing: it is given up, and the next one serves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { createTestDatabase, silentLogger } from '../support/postgres.ts'

const PID = { name: 'silent_pid', text: 'SELECT pg_backend_pid() AS pid', answerMsMax: 500 }

test('a statement without an answer is given up with its connection, which nobody gets again', async () => {
  await using database = await createTestDatabase()
  const { url } = database
  await using pool = openDatabase({ url, connectionsMax: 1, applicationName: 'test', logger: silentLogger })
  const [before] = await pool.query<{ pid: number }>(PID)
  assert.ok(before !== undefined)
  process.kill(before.pid, 'SIGSTOP')
  try {
    await assert.rejects(pool.query(PID), (error) => isHooktrailError(error, 'STORE_UNAVAILABLE'))
    const [after] = await pool.query<{ pid: number }>(PID)
    assert.notEqual(after?.pid, before.pid)
  } finally {
    process.kill(before.pid, 'SIGCONT')
  }
})

test('a transaction whose connection goes silent ends without waiting for its rollback', async () => {
  await using database = await createTestDatabase()
  const { url } = database
  await using pool = openDatabase({ url, connectionsMax: 1, applicationName: 'test', logger: silentLogger })
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
