/** A dispatcher on the BullMQ queue: events reach their receiver once, retries and all, whatever happens to Redis. */
import assert from 'node:assert/strict'
import { Redis } from 'ioredis'
import { QUEUED_MS } from '../../core/ports/pump-store.ts'
import { startDispatcher } from '../../dispatcher/start-dispatcher.ts'
import { hintQueueOn } from '../support/dispatcher-sizes.ts'
import {
  deliverOnce,
  openDispatcherStage,
  planAll,
  type DispatcherStage,
  type StageOptions,
} from '../support/dispatcher-stage.ts'
import { startRedis, testOnRedis, type RedisServer } from '../support/services/redis.ts'

const PLANNING_MS_MAX = 10_000

function openStage(
  { url }: RedisServer,
  handlers: StageOptions['handlers'] = [{ name: 'billing' }],
): Promise<DispatcherStage> {
  return openDispatcherStage({ handlers, openQueue: hintQueueOn(url) })
}

async function flushAll({ url }: RedisServer): Promise<void> {
  const client = new Redis(url)
  await client.flushall()
  client.disconnect()
}

/** Each event reached the path exactly once. */
function assertReceivedOnce({ receiver }: DispatcherStage, path: string, count: number): void {
  const ids = receiver.requests
    .filter((request) => request.path === path)
    .map(({ headers }) => headers['webhook-id'])
  assert.equal(ids.length, count)
  assert.equal(new Set(ids).size, count)
}

testOnRedis(
  'what is planned is offered and delivered without a round of the pump',
  startRedis,
  async (redis) => {
    await using stage = await openStage(redis)
    const dispatcher = await stage.compose()
    const [event] = await stage.append([{}])
    assert.ok(event !== undefined)
    await planAll(dispatcher)
    assert.equal(await deliverOnce(dispatcher, 'billing'), 1)
    assert.equal((await stage.job(event, 'billing')).state, 'completed')
  },
)

testOnRedis('a retry is delivered by the pump when it is due', startRedis, async (redis) => {
  await using stage = await openStage(redis)
  stage.receiver.script('/billing', (n) => (n === 0 ? 500 : 200))
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{}])
  assert.ok(event !== undefined && dispatcher.pump !== null)
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const { hints } = await dispatcher.pump.step()
  assert.deepEqual(hints, [{ handler: 'billing', jobId: `${event.id}.billing`, attempt: 2 }])
  await deliverOnce(dispatcher, 'billing')
  assert.equal((await stage.job(event, 'billing')).state, 'completed')
})

testOnRedis(
  'a dispatcher pumps for the handlers that it serves, and the others keep what they were offered',
  startRedis,
  async (redis) => {
    await using stage = await openStage(redis, [{ name: 'billing' }, { name: 'crm', pool: 'heavy' }])
    const dispatcher = await stage.compose({ serves: new Set(['billing']) })
    const [event] = await stage.append([{}])
    assert.ok(event !== undefined && dispatcher.pump !== null)
    await planAll(dispatcher)
    await stage.store.resetQueued()
    const { hints } = await dispatcher.pump.step()
    assert.deepEqual(
      hints.map(({ handler }) => handler),
      ['billing'],
    )
    const heavy = await stage.compose({ owner: 'two', serves: new Set(['crm']) })
    assert.equal(await deliverOnce(heavy, 'crm'), 1)
    assert.equal((await stage.job(event, 'crm')).state, 'completed')
  },
)

testOnRedis('the service delivers everything once, across FLUSHALL', startRedis, async (redis) => {
  await using stage = await openStage(redis, [{ name: 'billing' }, { name: 'crm' }])
  // Some are under way, others only hinted at, when Redis forgets everything.
  const release = stage.receiver.hold('/billing')
  await using service = await startDispatcher(stage.config, stage.deps())
  await stage.append(Array.from({ length: 200 }, () => ({})))
  await stage.receiver.arrived(20)
  await flushAll(redis)
  release()
  await stage.append(Array.from({ length: 100 }, () => ({})))
  await stage.receiver.arrived(600)
  await service.stop()
  assertReceivedOnce(stage, '/billing', 300)
  assertReceivedOnce(stage, '/crm', 300)
  assert.deepEqual(await stage.store.openJobs(), [])
})

testOnRedis('the service goes on by itself when Redis was down', startRedis, async (redis) => {
  await using stage = await openStage(redis)
  await using service = await startDispatcher(stage.config, stage.deps())
  await stage.append(Array.from({ length: 20 }, () => ({})))
  await stage.receiver.arrived(20)
  await redis.kill('SIGKILL')
  await stage.append(Array.from({ length: 20 }, () => ({})))
  await untilPlanned(stage)
  await redis.restart()
  const restartedAt = performance.now()
  await stage.receiver.arrived(40)
  assert.ok(performance.now() - restartedAt < QUEUED_MS / 2, 'before marks run out')
  await service.stop()
  assertReceivedOnce(stage, '/billing', 40)
})

/** Planning goes on without Redis. */
async function untilPlanned({ store }: DispatcherStage): Promise<void> {
  const signal = AbortSignal.timeout(PLANNING_MS_MAX)
  for (let planned = 0; planned < 20;) {
    assert.ok(!signal.aborted, `${planned} jobs are planned`)
    planned = (await store.openJobs())[0]?.available ?? 0
  }
}
