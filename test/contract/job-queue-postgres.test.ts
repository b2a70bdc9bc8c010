/** The queue on Postgres: a taker waits for a hint of its own process, of another one, or for the next due time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPostgresJobQueue } from '../../adapters/postgres/job-queue.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { claim, createJobStage, LEASE_MS, plan } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'

const OPTIONS = { clock: systemClock, logger: silentLogger }
const REQUEST = { handler: 'billing', slots: 10, leaseMs: LEASE_MS, generation: 'g1' }

test('a taker that waits gets jobs that are planned later', async () => {
  await using stage = await createJobStage()
  await using queue = createPostgresJobQueue(stage.database, stage.store, OPTIONS)
  await using other = createPostgresJobQueue(stage.database, stage.store, OPTIONS)
  const taken = queue.take({ ...REQUEST, signal: new AbortController().signal })
  await plan(stage.store, { claims: [claim(0)] })
  await other.offer('billing', [])
  assert.equal((await taken).length, 1)
})

test('a taker whose signal aborts gets nothing', async () => {
  await using stage = await createJobStage()
  await using queue = createPostgresJobQueue(stage.database, stage.store, OPTIONS)
  const stop = new AbortController()
  const taken = queue.take({ ...REQUEST, signal: stop.signal })
  stop.abort()
  assert.deepEqual(await taken, [])
})
