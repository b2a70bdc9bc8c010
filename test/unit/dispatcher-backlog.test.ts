/** Bounds on open jobs, as far as they are counted in memory: who is held, and who is told when that ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backlog, OPEN_JOBS_MAX } from '../../dispatcher/backlog.ts'
import { silentLogger } from '../support/postgres.ts'

function openBacklog(): Backlog {
  const unasked = (): never => {
    throw new Error('the store is not asked')
  }
  const metrics = { count: unasked, set: unasked, observe: unasked }
  return new Backlog({
    ...{ handlers: ['slow', 'quick'], logger: silentLogger, metrics },
    store: { openJobs: unasked, handlers: unasked },
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
