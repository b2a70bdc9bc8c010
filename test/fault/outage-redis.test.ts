/**
 * A Redis that loses what it held, under a full installation. Goal: everything is delivered, by itself and soon. Method:
 * the receiver holds its answers until hints wait in Redis; then the fault; then it answers again. The trail is checked
 * without product code.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually, type Installation } from '../support/installation.ts'
import { untilAnswered } from '../support/outage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { scale } from '../support/scale.ts'
import { flush, killAndRestart, onRedis, restartEmpty, takeCopy } from '../support/services/redis-faults.ts'
import type { RedisServer } from '../support/services/redis.ts'
import { openSize } from '../support/sizes.ts'
import { countsText, openTrailStage, type TrailStage } from '../support/trail-stage.ts'

const CONNECTIONS = 8
const HINTS_MS_MAX = 30_000

interface Running {
  readonly trail: Installation
  readonly stage: TrailStage
  readonly redis: RedisServer
}

test('FLUSHALL, an empty Redis, one put back to an older copy, a killed one: everything is delivered by itself', async (t) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(t, openSize('full')))
  if (size === null) return
  const stage = opened.use(await openTrailStage(size))
  const { redis } = size.servers
  const trail = await stage.start()
  const running = { trail, stage, redis }
  await sendEvents(stage)
  const putBack = await takeCopy(redis)
  await lose(running, flush)
  await lose(running, restartEmpty)
  await lose(running, putBack)
  await lose(running, killAndRestart)
  // Not by the marks of jobs that run out after a minute.
  assert.match(trail.output(), /the queue lost hints: their jobs are offered again/)
  await stage.settle(trail)
  t.diagnostic(countsText(await stage.check(trail)))
})

async function lose({ trail, stage, redis }: Running, fault: (redis: RedisServer) => Promise<void>) {
  const release = stage.receiver.hold('/one')
  await sendEvents(stage)
  await eventually('hints wait in Redis', HINTS_MS_MAX, async () =>
    (await hintsIn(redis)) > 0 ? true : null,
  ).catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
  await fault(redis)
  release()
  await stage.delivered()
}

async function sendEvents(stage: TrailStage): Promise<void> {
  const load = stage.senders({ connections: CONNECTIONS, events: scale.outageEvents, pauseMs: 0 })
  await untilAnswered(load, '200', scale.outageEvents)
}

function hintsIn(redis: RedisServer): Promise<number> {
  return onRedis(redis, async (client) => {
    const lists = await client.keys('*:wait')
    return (await Promise.all(lists.map((list) => client.llen(list)))).reduce(
      (sum, length) => sum + length,
      0,
    )
  })
}
