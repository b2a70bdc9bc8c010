/** Bounds on open jobs, as far as they are counted in memory: who is held, and who is told when that ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backlog, OPEN_JOBS_MAX, RETRYABLE_JOBS_MAX } from '../../dispatcher/backlog.ts'
import { silentLogger } from '../support/postgres.ts'

function openBacklog(retryable?: number, isClosed: (handler: string) => boolean = () => true): Backlog {
  const unasked = (): never => {
    throw new Error('the store is not asked')
  }
  const metrics = { count: unasked, set: () => undefined, observe: unasked }
  return new Backlog({
    ...{ handlers: ['slow', 'quick'], endpoints: { isClosed }, logger: silentLogger, metrics },
    store: {
      openJobs: () =>
        retryable === undefined
          ? unasked()
          : Promise.resolve([{ handler: 'slow', available: OPEN_JOBS_MAX, running: 0, retryable }]),
      handlers: () => (retryable === undefined ? unasked() : Promise.resolve([])),
    },
  })
}

test('a handler at its bound is held alone, and goes on below half of it', () => {
  const backlog = openBacklog()
  backlog.planned('slow', OPEN_JOBS_MAX)
  assert.deepEqual([backlog.admits('slow', 1), backlog.admits('quick', 1)], [false, true])
  for (let open = OPEN_JOBS_MAX; open > OPEN_JOBS_MAX / 2 + 1; open--) backlog.finished('slow')
  assert.equal(backlog.admits('slow', 1), false)
  backlog.finished('slow')
  assert.equal(backlog.admits('slow', 1), true)
})

test('whoever waits is told the moment a held handler may go on, and not before', () => {
  const backlog = openBacklog()
  const before = backlog.room
  backlog.planned('slow', 10)
  backlog.finished('slow')
  assert.ok(!before.aborted, 'nobody was held')
  backlog.planned('slow', OPEN_JOBS_MAX)
  assert.equal(backlog.admits('slow', 1), false)
  const told = Array.from({ length: OPEN_JOBS_MAX }, () => {
    backlog.finished('slow')
    return before.aborted
  })
  assert.equal(told.indexOf(true), 8 + OPEN_JOBS_MAX / 2)
  assert.ok(!backlog.room.aborted, 'the next who waits waits for the next time')
})

test('a step that plans nothing gives its room back to whoever it held', () => {
  const backlog = openBacklog()
  backlog.planned('slow', OPEN_JOBS_MAX / 2)
  backlog.reserve(['slow'], OPEN_JOBS_MAX / 2)
  assert.equal(backlog.admits('slow', 1), false)
  const before = backlog.room
  backlog.settle(['slow'], OPEN_JOBS_MAX / 2)
  assert.ok(before.aborted)
  assert.equal(backlog.admits('slow', 1), true)
})

test('a handler at its bound of open jobs is held for its retries only at the bound of these', async () => {
  for (const retryable of [RETRYABLE_JOBS_MAX / 2, RETRYABLE_JOBS_MAX - 1]) {
    const backlog = openBacklog(retryable)
    await backlog.step()
    assert.equal(backlog.admits('slow', 1), false, 'too many are open')
    for (let open = OPEN_JOBS_MAX; open > OPEN_JOBS_MAX / 2; open--) backlog.finished('slow')
    assert.equal(backlog.admits('slow', 1), true)
  }
})

test('with an open breaker a step is planned only when nothing is left to probe with, and all when it closes', () => {
  let open = true
  const backlog = openBacklog(undefined, (handler) => handler === 'quick' || !open)
  backlog.planned('slow', 2)
  assert.deepEqual([backlog.admits('slow', 500), backlog.admits('quick', 500)], [false, true])
  const told = backlog.room
  backlog.finished('slow')
  assert.equal(told.aborted, false)
  backlog.finished('slow')
  assert.deepEqual([told.aborted, backlog.admits('slow', 500)], [true, true])
  backlog.planned('slow', 500)
  assert.equal(backlog.admits('slow', 500), false)
  open = false
  assert.equal(backlog.admits('slow', 500), true)
})
