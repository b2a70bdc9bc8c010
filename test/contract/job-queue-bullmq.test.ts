/**
 * The queue on a real Redis: the port's suite, and what a Redis does to whoever relies on it. Whatever is lost, every
 * job is taken in the end, by itself, and once.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createBullmqJobQueue } from '../../adapters/bullmq/job-queue.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { HintQueue } from '../../core/ports/job-queue.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { createJobStage, outcome, type JobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { givenRedis, startRedis, testOnRedis, type RedisServer } from '../support/services/redis.ts'
import { flush, killAndRestart, onRedis, restartEmpty, takeCopy } from '../support/services/redis-faults.ts'
import { startTcpProxy } from '../support/services/tcp-proxy.ts'
import {
  hintsOf,
  jobIdsOf,
  planJobs,
  pumpOf,
  takeExactly,
  takeSome,
  testJobQueue,
  whilePumping,
  type QueueStage,
} from './job-queue.ts'

interface RedisStage extends QueueStage {
  open(): Promise<HintQueue & AsyncDisposable>
}

function openQueue(url: string, { store }: JobStage, prefix: string): Promise<HintQueue & AsyncDisposable> {
  return createBullmqJobQueue(store, {
    url,
    prefix,
    tls: null,
    concurrency: new Map([['billing', 20]]),
    clock: systemClock,
    logger: silentLogger,
  })
}

/** Tests may share a server. */
function uniquePrefix(): string {
  return `test-${randomBytes(6).toString('hex')}`
}

async function createRedisStage({ url }: { url: string }): Promise<RedisStage> {
  const stage = await createJobStage({ queued: true })
  const prefix = uniquePrefix()
  return { ...stage, open: () => openQueue(url, stage, prefix) }
}

testJobQueue((name, body) => {
  testOnRedis(name, givenRedis, async (redis) => {
    await using stage = await createRedisStage(redis)
    await body(stage)
  })
})

testOnRedis('jobs that were offered one by one are taken together', givenRedis, async (redis) => {
  await using stage = await createRedisStage(redis)
  await using queue = await stage.open()
  await planJobs(stage.store, 0, 40)
  for (let n = 0; n < 40; n++) await queue.offer('billing', hintsOf(n, 1))
  const takes: number[] = []
  while (takes.reduce((sum, jobs) => sum + jobs, 0) < 40) takes.push((await takeSome(queue, 20)).length)
  assert.ok(takes.length <= 6, `in takes of ${takes.join(', ')}`)
})

/** Of one queue, however many hints went through it; and the mark. */
const FIXED_KEYS = new Set(['mark', 'meta', 'id', 'events', 'marker', 'stalled-check', 'stalled'])

type Fault = (redis: RedisServer) => Promise<void>

/** Registers two tests: the fault comes before the hints are taken, and after. */
function testFault(what: string, fault: Fault): void {
  testOnRedis(
    `every job is taken in the end when Redis is ${what} before the take`,
    startRedis,
    async (redis) => {
      await using stage = await createRedisStage(redis)
      await using queue = await stage.open()
      await pumpOf(stage, queue).step()
      await planJobs(stage.store, 0, 30)
      await queue.offer('billing', hintsOf(0, 30))
      await fault(redis)
      const taken = jobIdsOf(await whilePumping(stage, queue, () => takeExactly(queue, 30)))
      assert.equal(new Set(taken).size, 30)
    },
  )

  testOnRedis(`no job is taken twice when Redis is ${what} after the take`, startRedis, async (redis) => {
    await using stage = await createRedisStage(redis)
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 30)
    await queue.offer('billing', hintsOf(0, 30))
    const taken = await takeExactly(queue, 10)
    const others = await whilePumping(stage, queue, async () => {
      await fault(redis)
      await stage.store.recordOutcomes(taken.map((job) => outcome(job, { state: 'completed' })))
      return takeExactly(queue, 20)
    })
    assert.equal(new Set([...jobIdsOf(taken), ...jobIdsOf(others)]).size, 30)
    assert.deepEqual(await stage.store.openJobs(), [
      { handler: 'billing', available: 0, running: 20, retryable: 0 },
    ])
  })
}

testFault('emptied (FLUSHALL)', flush)
testFault('empty after a restart', restartEmpty)
testFault('killed', killAndRestart)

testOnRedis(
  'a Redis that was put back to an older copy is noticed, and every job is taken',
  startRedis,
  async (redis) => {
    await using stage = await createRedisStage(redis)
    await using queue = await stage.open()
    await pumpOf(stage, queue).step()
    const putBack = await takeCopy(redis)
    await whilePumping(stage, queue, async () => {
      await planJobs(stage.store, 0, 10)
      // It may still be connecting: then the pump offers them.
      await queue.offer('billing', hintsOf(0, 10)).catch(() => undefined)
      await takeExactly(queue, 10)
    })
    await planJobs(stage.store, 10, 10)
    await putBack()
    const taken = await whilePumping(stage, queue, () => takeExactly(queue, 10))
    assert.equal(taken.length, 10)
  },
)

testOnRedis(
  'while Redis hangs offers reject soon and takes wait; both go on when it does',
  startRedis,
  async (redis) => {
    await using stage = await createRedisStage(redis)
    await using queue = await stage.open()
    await queue.offer('billing', hintsOf(90, 1))
    await planJobs(stage.store, 0, 5)
    const taken = takeExactly(queue, 5)
    await redis.kill('SIGSTOP')
    await assert.rejects(queue.offer('billing', hintsOf(0, 5)), isUnavailable)
    await assert.rejects(queue.lostHints(), isUnavailable)
    await redis.kill('SIGCONT')
    assert.equal((await whilePumping(stage, queue, () => taken)).length, 5)
  },
)

testOnRedis(
  'connections that went silent are replaced, of takes and of offers',
  startRedis,
  async (redis) => {
    await using proxy = await startTcpProxy(Number(new URL(redis.url).port))
    await using stage = await createRedisStage({ url: `redis://127.0.0.1:${proxy.port}` })
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 5)
    await queue.offer('billing', hintsOf(0, 5))
    await takeExactly(queue, 5)
    const taken = takeExactly(queue, 5)
    await planJobs(stage.store, 5, 5)
    proxy.silence()
    await assert.rejects(queue.offer('billing', hintsOf(5, 5)), isUnavailable)
    assert.equal((await whilePumping(stage, queue, () => taken)).length, 5)
  },
)

testOnRedis(
  'a Redis that is down at start is waited for, by takes; offers reject',
  startRedis,
  async (redis) => {
    await using stage = await createRedisStage(redis)
    await redis.kill('SIGKILL')
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 5)
    await assert.rejects(queue.offer('billing', hintsOf(0, 5)), isUnavailable)
    const taken = await whilePumping(stage, queue, async () => {
      const waiting = takeExactly(queue, 5)
      await redis.restart()
      return waiting
    })
    assert.equal(taken.length, 5)
  },
)

testOnRedis(
  'a job whose hint was fetched by a process that was killed is taken by another',
  givenRedis,
  async (redis) => {
    await using stage = await createRedisStage(redis)
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 5)
    // Nobody holds the hints any more; their marks run out.
    await stage.database.query("UPDATE jobs SET queued_until = now() + interval '300 milliseconds'")
    const taken = await whilePumping(stage, queue, () => takeExactly(queue, 5))
    assert.equal(taken.length, 5)
  },
)

testOnRedis(
  'a Redis that may evict keys is refused, also when it becomes one later',
  () => startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] }),
  async (redis) => {
    await using stage = await createRedisStage(redis)
    await assert.rejects(stage.open(), (error) => isHooktrailError(error, 'QUEUE_EVICTS'))
    await onRedis(redis, (client) => client.config('SET', 'maxmemory-policy', 'noeviction'))
    await using queue = await stage.open()
    await queueOne(stage, queue)
    await onRedis(redis, async (client) => {
      await client.config('SET', 'maxmemory-policy', 'volatile-lru')
      await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    })
    await untilRejects(() => queue.lostHints(), 'QUEUE_EVICTS')
    await untilRejects(() => queue.offer('billing', hintsOf(1, 1)), 'QUEUE_EVICTS')
  },
)

testOnRedis(
  'a Redis that refuses the password ends the start',
  () => startRedis({ args: ['--requirepass', 'right'] }),
  async (redis) => {
    await using stage = await createJobStage({ queued: true })
    for (const login of [':wrong@', ''])
      await assert.rejects(openQueue(redis.url.replace('//', `//${login}`), stage, 'test'), (error) =>
        isHooktrailError(error, 'QUEUE_REFUSED'),
      )
    await using queue = await openQueue(redis.url.replace('//', '//:right@'), stage, 'test')
    assert.equal(await queue.lostHints(), true)
    assert.equal(await queue.lostHints(), false)
  },
)

testOnRedis(
  'hints that a closed queue had fetched and not used are taken by another',
  givenRedis,
  async (redis) => {
    await using stage = await createRedisStage(redis)
    await using other = await stage.open()
    await planJobs(stage.store, 0, 5)
    {
      await using queue = await stage.open()
      await queue.offer('billing', hintsOf(0, 5))
      assert.equal((await takeSome(queue, 1)).length, 1)
    }
    assert.equal((await takeExactly(other, 4)).length, 4)
  },
)

testOnRedis(
  'a queue is closed at once while Redis is down, and nothing waits in it any more',
  startRedis,
  async (redis) => {
    await using stage = await createRedisStage(redis)
    const [used, fresh] = [await stage.open(), await stage.open()]
    await queueOne(stage, used)
    await redis.kill('SIGKILL')
    const taken = [takeSome(used), takeSome(fresh)]
    await Promise.all([used, fresh].map((queue) => queue[Symbol.asyncDispose]()))
    assert.deepEqual(await Promise.all(taken), [[], []])
  },
)

testOnRedis('a server that was demoted to a replica is left and asked again', startRedis, async (redis) => {
  await using stage = await createRedisStage(redis)
  await using queue = await stage.open()
  await queueOne(stage, queue)
  await onRedis(redis, (client) => client.replicaof('127.0.0.1', 1))
  await planJobs(stage.store, 1, 5)
  await assert.rejects(queue.offer('billing', hintsOf(1, 5)), isUnavailable)
  await onRedis(redis, (client) => client.replicaof('NO', 'ONE'))
  assert.equal((await whilePumping(stage, queue, () => takeExactly(queue, 5))).length, 5)
})

testOnRedis('a take that the job store refused loses no hint', givenRedis, async (redis) => {
  await using stage = await createRedisStage(redis)
  let refusals = 0
  const store: JobStore = {
    ...stage.store,
    takeByIds: (request) =>
      refusals++ === 0
        ? Promise.reject(new HooktrailError('STORE_UNAVAILABLE'))
        : stage.store.takeByIds(request),
  }
  await using queue = await openQueue(redis.url, { ...stage, store }, uniquePrefix())
  await planJobs(stage.store, 0, 5)
  await queue.offer('billing', hintsOf(0, 5))
  await assert.rejects(takeSome(queue))
  assert.equal((await takeSome(queue)).length, 5)
})

testOnRedis('hints that were taken leave nothing behind in Redis', startRedis, async (redis) => {
  await using stage = await createRedisStage(redis)
  {
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 200)
    await queue.offer('billing', hintsOf(0, 200))
    await takeExactly(queue, 200)
    // Asked after the last bundle was completed.
    await queue.lostHints()
  }
  let keys: string[] = []
  await onRedis(redis, async (client) => {
    keys = await client.keys('*')
  })
  const ends = keys.map((key) => key.slice(key.lastIndexOf(':') + 1)).sort()
  for (const end of ends) assert.ok(FIXED_KEYS.has(end), ends.join(' '))
})

testOnRedis('hints that nobody takes stop growing', startRedis, async (redis) => {
  await using stage = await createRedisStage(redis)
  await using queue = await stage.open()
  for (let times = 0; times < 30; times++) await queue.offer('billing', hintsOf(0, 500))
  let keys = 0
  await onRedis(redis, async (client) => {
    for await (const found of client.scanStream({ match: 'test-*:billing:[0-9]*', count: 1_000 }))
      keys += Array.isArray(found) ? found.length : 0
  })
  assert.ok(keys >= 1_000 && keys <= 1_100, `${keys} bundles`)
})

/** One job, planned, offered and taken. */
async function queueOne({ store }: RedisStage, queue: HintQueue): Promise<void> {
  await planJobs(store, 0, 1)
  await queue.offer('billing', hintsOf(0, 1))
  assert.equal((await takeSome(queue)).length, 1)
}

/** While it connects again it says that it is unavailable, each time at once or after a turn of the event loop. */
async function untilRejects(ask: () => Promise<unknown>, code: 'QUEUE_EVICTS'): Promise<void> {
  const giveUpAt = performance.now() + 10_000
  while (performance.now() < giveUpAt) {
    const outcome = await ask().catch((error: unknown) => error)
    if (isHooktrailError(outcome, code)) return
    await new Promise(setImmediate)
  }
  assert.fail(`no ${code}`)
}

function isUnavailable(error: unknown): boolean {
  return isHooktrailError(error, 'QUEUE_UNAVAILABLE')
}
