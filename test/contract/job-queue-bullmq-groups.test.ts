/**
 * The queue on several Redis that fail over among themselves: a Sentinel's master, and a Cluster. The port's suite runs on
 * the Cluster; on both the master is killed, and every job is taken in the end, by itself, and once.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, test } from 'node:test'
import { createBullmqJobQueue, type BullmqJobQueueOptions } from '../../adapters/bullmq/job-queue.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { HintQueue } from '../../core/ports/job-queue.ts'
import { createJobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'
import { freePorts } from '../support/services/local-process.ts'
import { startCluster, startSentinelGroup, type RedisGroup } from '../support/services/redis-groups.ts'
import { onRedis } from '../support/services/redis-faults.ts'
import { testOnRedis } from '../support/services/redis.ts'
import {
  hintsOf,
  jobIdsOf,
  planJobs,
  pumpOf,
  takeExactly,
  testJobQueue,
  whilePumping,
  type QueueStage,
} from './job-queue.ts'

/** Has letters that hosts do not have in capitals, as names of masters may. */
const MASTER = 'Hints_1'
const JOBS = 30
/** A prefix whose slot in a Cluster is the first master's, which is the one that is killed. */
const OF_FIRST_MASTER = 'b'

type Place = Pick<BullmqJobQueueOptions, 'url' | 'topology'>

interface GroupStage extends QueueStage {
  open(): Promise<HintQueue & AsyncDisposable>
}

async function createGroupStage(place: Place, prefix = OF_FIRST_MASTER): Promise<GroupStage> {
  const stage = await createJobStage({ queued: true })
  const open = (): Promise<HintQueue & AsyncDisposable> =>
    createBullmqJobQueue(stage.store, {
      ...place,
      prefix,
      tls: null,
      concurrency: new Map([['billing', 20]]),
      clock: systemClock,
      logger: silentLogger,
    })
  return { ...stage, open }
}

function sentinelPlace({ addresses }: Pick<RedisGroup, 'addresses'>): Place {
  return {
    url: `redis://${MASTER}`,
    topology: { kind: 'sentinels', addresses, username: null, password: null },
  }
}

function clusterPlace({ addresses: [first = '', ...others] }: Pick<RedisGroup, 'addresses'>): Place {
  return { url: `redis://${first}`, topology: { kind: 'cluster', addresses: others } }
}

async function deadAddress(): Promise<string> {
  return `127.0.0.1:${(await freePorts(1))[0] ?? 0}`
}

const GROUPS = [
  { what: 'a Sentinel', start: () => startSentinelGroup(MASTER), placeOf: sentinelPlace },
  { what: 'a Cluster', start: startCluster, placeOf: clusterPlace },
]

for (const { what, start, placeOf } of GROUPS)
  testOnRedis(
    `hints go on when the master of ${what} is killed, and no job is lost`,
    start,
    async (group) => {
      // One of those that are named is never there.
      const addresses = [await deadAddress(), ...group.addresses]
      await using stage = await createGroupStage(placeOf({ addresses }))
      await using queue = await stage.open()
      await pumpOf(stage, queue).step()
      await planJobs(stage.store, 0, JOBS)
      await queue.offer('billing', hintsOf(0, JOBS))
      const before = jobIdsOf(await takeExactly(queue, 10))
      const others = await whilePumping(stage, queue, async () => {
        const waiting = takeExactly(queue, 2 * JOBS - 10)
        await group.master.kill('SIGKILL')
        await planJobs(stage.store, JOBS, JOBS)
        return waiting
      })
      assert.equal(new Set([...before, ...jobIdsOf(others)]).size, 2 * JOBS)
    },
  )

testOnRedis(
  'hints are offered to the new master when the old one hangs',
  () => startSentinelGroup(MASTER),
  async (group) => {
    await using stage = await createGroupStage(sentinelPlace(group))
    await using queue = await stage.open()
    await queue.offer('billing', hintsOf(90, 1))
    await group.master.kill('SIGSTOP')
    await planJobs(stage.store, 0, 5)
    const taken = await whilePumping(stage, queue, () => takeExactly(queue, 5))
    assert.equal(taken.length, 5)
  },
)

testOnRedis('each master of a Cluster is asked whether it may evict keys', startCluster, async (group) => {
  const [, second = ''] = group.addresses
  const other = { url: `redis://${second}` }
  await onRedis(other, (client) => client.config('SET', 'maxmemory-policy', 'allkeys-lru'))
  await using stage = await createGroupStage(clusterPlace(group))
  await assert.rejects(stage.open(), (error) => isHooktrailError(error, 'QUEUE_EVICTS'))
})

for (const { what, placeOf } of GROUPS)
  test(`${what} that is not there is waited for by takes, and offers reject`, async () => {
    await using stage = await createGroupStage(placeOf({ addresses: [await deadAddress()] }))
    await using queue = await stage.open()
    await assert.rejects(queue.offer('billing', hintsOf(0, 1)), (error) =>
      isHooktrailError(error, 'QUEUE_UNAVAILABLE'),
    )
  })

/** One for the suite: its tests keep to prefixes of their own. */
let shared: Promise<RedisGroup> | null = null

after(async () => {
  const group = await shared?.catch(() => null)
  await group?.[Symbol.asyncDispose]()
})

async function sharedCluster(): Promise<Pick<RedisGroup, 'addresses'> & AsyncDisposable> {
  shared ??= startCluster()
  const { addresses } = await shared
  return { addresses, [Symbol.asyncDispose]: () => Promise.resolve() }
}

testJobQueue((name, body) => {
  testOnRedis(`${name}, on a Cluster`, sharedCluster, async (group) => {
    await using stage = await createGroupStage(clusterPlace(group), `test-${randomBytes(6).toString('hex')}`)
    await body(stage)
  })
})
