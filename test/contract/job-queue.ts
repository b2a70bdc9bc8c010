/** The contract of the queue: whatever happens to hints, the job store decides who gets a job, and nobody twice. */
import assert from 'node:assert/strict'
import type { HintQueue, JobQueue } from '../../core/ports/job-queue.ts'
import type { TakenJob } from '../../core/ports/delivery-store.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { runLoop } from '../../dispatcher/loop.ts'
import { Pump } from '../../dispatcher/pump.ts'
import { WaitList } from '../../dispatcher/wait-list.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { claim, LEASE_MS, outcome, plan, type JobStage } from '../support/job-stage.ts'
import { silentLogger } from '../support/postgres.ts'

export const TAKE = { handler: 'billing', slots: 100, leaseMs: LEASE_MS, generation: 'g1' }
/** Below what makes marks run out by themselves: nothing may come by that alone. */
const TAKE_MS_MAX = 40_000

export interface QueueStage extends JobStage {
  /** One more queue on the same server and store, as another process would have. */
  open(): Promise<JobQueue & AsyncDisposable>
}

/** Registers a test whose body gets a stage of its own. */
export type StageTest = (name: string, body: (stage: QueueStage) => Promise<void>) => void

export function testJobQueue(stageTest: StageTest): void {
  stageTest('a taker that waits gets jobs that are planned and offered later', async (stage) => {
    await using queue = await stage.open()
    await using other = await stage.open()
    const taken = takeSome(queue)
    await planJobs(stage.store, 0, 3)
    await other.offer('billing', hintsOf(0, 3))
    assert.equal((await taken).length, 3)
  })

  stageTest(
    'a taker whose signal aborts gets nothing, and so does one whose queue is closed',
    async (stage) => {
      const queue = await stage.open()
      const stop = new AbortController()
      const taken = queue.take({ ...TAKE, signal: stop.signal })
      stop.abort()
      assert.deepEqual(await taken, [])
      const ended = takeSome(queue)
      await queue[Symbol.asyncDispose]()
      assert.deepEqual(await ended, [])
    },
  )

  stageTest('two takers never get the same job', async (stage) => {
    await using one = await stage.open()
    await using two = await stage.open()
    await planJobs(stage.store, 0, 100)
    const taken: string[] = []
    const all = new AbortController()
    const takeAll = async (queue: JobQueue): Promise<void> => {
      while (!all.signal.aborted) {
        for (const { jobId } of await queue.take({ ...TAKE, slots: 7, signal: all.signal })) taken.push(jobId)
        if (taken.length >= 100) all.abort()
      }
    }
    await Promise.all([one.offer('billing', hintsOf(0, 100)), two.offer('billing', hintsOf(0, 100))])
    await Promise.all([takeAll(one), takeAll(two)])
    assert.equal(taken.length, 100)
    assert.equal(new Set(taken).size, 100)
  })

  stageTest('hints that come again, or of jobs that are unknown or done, do no harm', async (stage) => {
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 2)
    for (let times = 0; times < 3; times++) await queue.offer('billing', hintsOf(0, 2))
    await queue.offer('billing', [{ jobId: 'unknown.billing', attempt: 1 }])
    const taken = await takeExactly(queue, 2)
    await stage.store.recordOutcomes(taken.map((job) => outcome(job, { state: 'completed' })))
    await queue.offer('billing', hintsOf(0, 2))
    await planJobs(stage.store, 2, 1)
    await queue.offer('billing', hintsOf(2, 1))
    assert.deepEqual(jobIdsOf(await takeSome(queue)), ['evt-000002.billing'])
  })

  stageTest('jobs whose hint was lost are taken all the same', async (stage) => {
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 5)
    await stage.database.query("UPDATE jobs SET queued_until = now() - interval '1 second'")
    assert.equal((await whilePumping(stage, queue, () => takeExactly(queue, 5))).length, 5)
  })

  stageTest(
    'a take gets no more jobs than it has slots, and the others come with the next',
    async (stage) => {
      await using queue = await stage.open()
      await planJobs(stage.store, 0, 10)
      await queue.offer('billing', hintsOf(0, 10))
      const first = await takeSome(queue, 3)
      assert.ok(first.length <= 3)
      assert.equal((await takeExactly(queue, 10 - first.length)).length, 10 - first.length)
    },
  )

  stageTest('nothing of a paused handler is taken, and all of it when it is resumed', async (stage) => {
    await using queue = await stage.open()
    await planJobs(stage.store, 0, 5)
    const audit = { actor: 'test', action: 'handlers', target: 'billing', reason: null, details: {} }
    await stage.store.setHandlerStatus('billing', 'paused', audit)
    const taken = whilePumping(stage, queue, () => takeExactly(queue, 5))
    await queue.offer('billing', hintsOf(0, 5))
    assert.equal((await stage.store.openJobs())[0]?.running, 0)
    await stage.store.setHandlerStatus('billing', 'active', audit)
    assert.equal((await taken).length, 5)
  })
}

export async function planJobs(store: JobStore, first: number, count: number): Promise<void> {
  const claims = Array.from({ length: count }, (_, n) => claim(first + n))
  assert.equal((await plan(store, { claims })).kind, 'committed')
}

export function hintsOf(first: number, count: number): readonly { jobId: string; attempt: number }[] {
  return Array.from({ length: count }, (_, n) => ({
    jobId: `${claim(first + n).eventId}.billing`,
    attempt: 1,
  }))
}

/** One take that is not empty. */
export function takeSome(queue: JobQueue, slots = TAKE.slots): Promise<readonly TakenJob[]> {
  return queue.take({ ...TAKE, slots, signal: AbortSignal.timeout(TAKE_MS_MAX) })
}

/** As many takes as it needs. */
export async function takeExactly(queue: JobQueue, count: number): Promise<readonly TakenJob[]> {
  const signal = AbortSignal.timeout(TAKE_MS_MAX)
  const jobs: TakenJob[] = []
  while (jobs.length < count) {
    jobs.push(...(await queue.take({ ...TAKE, slots: count - jobs.length, signal })))
    assert.ok(!signal.aborted, `${jobs.length} of ${count} jobs came`)
  }
  return jobs
}

export function jobIdsOf(jobs: readonly TakenJob[]): readonly string[] {
  return jobs.map(({ jobId }) => jobId)
}

export function pumpOf({ store }: QueueStage, queue: HintQueue): Pump {
  return new Pump({ queue, store, handlers: [{ name: 'billing', concurrency: 20 }], logger: silentLogger })
}

/** With the pump running as in the dispatcher; a queue that needs none is left alone. */
export async function whilePumping<T>(
  stage: QueueStage,
  queue: JobQueue,
  body: () => Promise<T>,
): Promise<T> {
  if (queue.driver !== 'redis') return body()
  const pump = pumpOf(stage, queue)
  const stop = new AbortController()
  const context = { clock: systemClock, logger: silentLogger, waits: new WaitList() }
  const running = runLoop({ name: 'pump', step: () => pump.run() }, context, stop.signal)
  try {
    return await body()
  } finally {
    stop.abort()
    await running
  }
}
