/**
 * Two of everything, and one of them late, on each size: safety comes from compare-and-swap and fencing, never from a
 * lease (I8).
 */
import assert from 'node:assert/strict'
import { systemClock } from '../../adapters/system/clock.ts'
import type { TakenJob } from '../../core/ports/delivery-store.ts'
import { LEASE_MARGIN_MS } from '../../dispatcher/handler-runner.ts'
import { reapStep } from '../../dispatcher/upkeep.ts'
import { dispatcherSizes } from '../support/dispatcher-sizes.ts'
import { deliverOnce, planAll, runnerOf } from '../support/dispatcher-stage.ts'
import { outboxRows } from '../support/outbox-rows.ts'
import { overridden } from '../support/overridden.ts'

const testOnSizes = await dispatcherSizes()

testOnSizes(
  'two planners on one partition, one stopped before its commit: each event is planned once',
  async (open) => {
    await using stage = await open([{ name: 'billing' }])
    const reached = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const { store } = stage
    const slow = overridden(store, {
      commitStep: async (...args: Parameters<typeof store.commitStep>) => {
        reached.resolve()
        await goOn.promise
        return store.commitStep(...args)
      },
    })
    const stopped = await stage.compose({ store: slow, owner: 'same' })
    const other = await stage.compose({ owner: 'same' })
    await stage.append(Array.from({ length: 20 }, () => ({})))
    const pending = stopped.planners[0]?.step(AbortSignal.timeout(10_000), 0)
    await reached.promise
    await planAll(other)
    goOn.resolve()
    await pending
    await planAll(stopped)
    const { items } = await store.listJobs({ handler: 'billing', limit: 100 })
    assert.equal(items.length, 20)
    const { rows } = await outboxRows(store, 'plan_steps')
    const billing = rows.filter(({ key }) => key === 'billing')
    assert.equal(billing.length, 1, 'one plan step covers the events')
  },
)

testOnSizes('a taker stopped between take and send beyond its lease sends nothing', async (open) => {
  await using stage = await open([{ name: 'billing' }])
  let aheadMs = 0
  const clock = { ...systemClock, monotonic: () => performance.now() + aheadMs }
  const { queue } = stage
  const late = overridden(queue, {
    take: async (request: Parameters<typeof queue.take>[0]): Promise<readonly TakenJob[]> => {
      const jobs = await queue.take(request)
      aheadMs += LEASE_MARGIN_MS + 1
      return jobs
    },
  })
  const stopped = await stage.compose({ clock, queue: late })
  const other = await stage.compose({ owner: 'two' })
  const [event] = await stage.append([{}])
  assert(event !== undefined)
  await planAll(stopped)
  assert.equal(await deliverOnce(stopped, 'billing'), 1)
  assert.equal(stage.receiver.requests.length, 0)
  // Where hints lie outside the job store, nothing announces what was given back but the pump.
  await other.pump?.step()
  assert.equal(await deliverOnce(other, 'billing'), 1)
  assert.equal(stage.receiver.requests.length, 1)
  const attempts = await stage.store.listAttempts(`${event.id}.billing`)
  assert.deepEqual(
    attempts.map(({ attempt, statusCode }) => [attempt, statusCode]),
    [[1, 200]],
  )
})

testOnSizes('an outcome after its lease was reaped is late and changes nothing', async (open) => {
  await using stage = await open([{ name: 'billing' }])
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{}])
  assert(event !== undefined)
  await planAll(dispatcher)
  const release = stage.receiver.hold('/billing')
  const signal = AbortSignal.timeout(10_000)
  await runnerOf(dispatcher, 'billing').step(signal)
  await stage.receiver.arrived(1)
  await stage.database.query("UPDATE jobs SET lease_until = now() - interval '1 second'")
  assert.equal(await reapStep({ ...stage.deps(), worker: stage.config.worker }), 1)
  const before = await stage.job(event, 'billing')
  release()
  await runnerOf(dispatcher, 'billing').drained(signal)
  assert.deepEqual(await stage.job(event, 'billing'), before)
  const attempts = await stage.store.listAttempts(`${event.id}.billing`)
  assert.deepEqual(
    attempts.map(({ attempt, errorClass, late }) => [attempt, errorClass, late]).sort(),
    [
      [1, 'unknown', false],
      [1, null, true],
    ].sort(),
  )
})

testOnSizes('two takers of one job: one sends it', async (open) => {
  await using stage = await open([{ name: 'billing' }])
  const one = await stage.compose()
  const two = await stage.compose({ owner: 'two' })
  await stage.append([{}])
  await planAll(one)
  const stop = new AbortController()
  const takes = [one, two].map((dispatcher) => runnerOf(dispatcher, 'billing').step(stop.signal))
  await stage.receiver.arrived(1)
  for (const dispatcher of [one, two])
    await runnerOf(dispatcher, 'billing').drained(AbortSignal.timeout(10_000))
  stop.abort()
  const taken = await Promise.all(takes)
  assert.equal(
    taken.reduce((sum, jobs) => sum + jobs, 0),
    1,
  )
  assert.equal(stage.receiver.requests.length, 1)
})
