/** Handlers that wait for the archive: how long a planner may sleep because of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StuckHandlers } from '../../dispatcher/stuck-handlers.ts'
import { WaitList } from '../../dispatcher/wait-list.ts'
import { HandClock } from '../support/hand-clock.ts'
import { silentLogger } from '../support/postgres.ts'

test('a handler whose time has come is not waited for: somebody may hold it back for days', () => {
  const clock = new HandClock()
  const at = { topic: 'shop', topicId: 'ab'.repeat(16), partition: 0 }
  const stuck = new StuckHandlers({ at, name: 'plan', clock, logger: silentLogger, waits: new WaitList() })
  assert.equal(stuck.retryMs(), Infinity)
  stuck.await(['slow'])
  const retryMs = stuck.retryMs()
  assert.ok(retryMs > 0 && retryMs < 1_000 && stuck.has('slow'))
  clock.advance(retryMs)
  assert.deepEqual([stuck.has('slow'), stuck.retryMs()], [false, Infinity])
  stuck.goOn(['slow'])
  assert.equal(stuck.retryMs(), Infinity)
})
