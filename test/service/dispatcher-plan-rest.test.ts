/**
 * Planning to the end of a log that is left behind. Goal: afterwards nobody needs the log any more, whatever held a
 * handler back. Method: the store's own figures, on real Postgres, with more events than a dispatcher plans ahead.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OPEN_JOBS_MAX } from '../../dispatcher/backlog.ts'
import { planRest, restOf } from '../../dispatcher/plan-rest.ts'
import { openDispatcherStage } from '../support/dispatcher-stage.ts'

const EVENTS = OPEN_JOBS_MAX + 100

test('every handler is planned to the end of the log, over its bound and while it is off, and once', async () => {
  await using stage = await openDispatcherStage({
    handlers: [{ name: 'on' }, { name: 'off' }],
    partitions: 2,
  })
  const { config, store, log } = stage
  const deps = stage.deps()
  const { signal } = new AbortController()
  await planRest(config, deps, signal)
  const audit = { actor: 'test', action: 'disable', target: 'off', reason: 'test', details: {} }
  await store.setHandlerStatus('off', 'disabled', audit)
  await stage.append(Array.from({ length: EVENTS }, () => ({})))
  assert.deepEqual([...(await restOf(config, { log, store }))].toSorted(), [
    ['off', BigInt(EVENTS)],
    ['on', BigInt(EVENTS)],
  ])
  // The second finds nothing to do, as after a crash behind the first.
  for (let run = 0; run < 2; run++) {
    await planRest(config, deps, signal)
    assert.equal((await restOf(config, { log, store })).size, 0)
    const open = await store.openJobs()
    assert.deepEqual(open.map(({ handler, available }) => [handler, available]).toSorted(), [
      ['off', EVENTS],
      ['on', EVENTS],
    ])
  }
})

test('a planning that is stopped ends with what it has committed', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'on' }] })
  await stage.append([{}])
  const stopping = AbortSignal.abort()
  await assert.rejects(planRest(stage.config, stage.deps(), stopping), { name: 'AbortError' })
})
