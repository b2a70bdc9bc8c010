/**
 * Backlogs and breakers: an endpoint that is away for so long that the log is cut behind it, and events that an endpoint
 * refuses for ever among those that it takes. Counts and order; times are moved, never waited for.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import type { Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import { startDispatcher } from '../../dispatcher/start-dispatcher.ts'
import { openArchiveFolder } from '../support/archive-folder.ts'
import {
  deliverOnce,
  openDispatcherStage,
  planAll,
  SOURCE,
  type DispatcherStage,
} from '../support/dispatcher-stage.ts'
import { scale } from '../support/scale.ts'
import { openUnionStage } from '../support/union-stage.ts'

const STEP_MS_MAX = 60_000
const APPEND_MAX = 500
const CONCURRENCY = 10
const HOUR_MS = 3_600_000

async function placeOf(stage: DispatcherStage): Promise<TopicPartition> {
  const name = `${stage.config.log.topicPrefix}.events.${SOURCE}`
  const [topic] = await stage.log.ensureTopics([{ name, partitions: 1 }])
  assert.ok(topic)
  return { topic: name, topicId: topic.id, partition: 0 }
}

async function append(stage: DispatcherStage, count: number): Promise<readonly string[]> {
  const ids: string[] = []
  while (ids.length < count) {
    const events = Array.from({ length: Math.min(APPEND_MAX, count - ids.length) }, () => ({}))
    ids.push(...(await stage.append(events)).map(({ id }) => id))
  }
  return ids
}

async function breakDown(stage: DispatcherStage, dispatcher: Dispatcher): Promise<void> {
  stage.receiver.script('/app', () => 503)
  while (!(await stage.store.breakers()).some(({ state }) => state === 'open'))
    assert.ok((await deliverOnce(dispatcher, 'app')) > 0)
  await dispatcher.breakers.step(AbortSignal.timeout(STEP_MS_MAX))
}

function eventIdsOf({ receiver }: DispatcherStage): readonly string[] {
  return receiver.requests.map(({ headers }) => String(headers['x-hooktrail-event-id']))
}

test('after a long outage, the log cut meanwhile, a handler is ramped up from the archive, never above its limits, and gets all', async () => {
  const retry = { attemptsMax: 9, backoff: { kind: 'fixed', intervalMs: HOUR_MS } } as const
  await using stage = await openDispatcherStage({
    handlers: [{ name: 'app', retry, concurrency: CONCURRENCY }],
  })
  await using folder = await openArchiveFolder()
  await using trail = await openUnionStage(stage.log, folder)
  const at = await placeOf(stage)
  const before = await stage.compose({ log: trail.reader() })
  const first = await append(stage, 20)
  await planAll(before)
  await breakDown(stage, before)
  const during = await append(stage, scale.breakerBacklog)
  await planAll(before)
  const [standing] = (await stage.store.positions(at.topicId, 0)).filter(({ handler }) => handler === 'app')
  assert.ok((standing?.next ?? 0n) <= 520n, 'at most one step, to probe with')
  await trail.archive(at)
  await stage.log.truncate(at, (await stage.log.bounds(at)).highWatermark)

  const delivered = Promise.withResolvers<void>()
  const left = new Set([...first, ...during])
  stage.receiver.script('/app', (_, { headers }) => {
    left.delete(String(headers['x-hooktrail-event-id']))
    if (left.size === 0) delivered.resolve()
    return 200
  })
  const rounds: number[] = []
  const store: typeof stage.store = {
    ...stage.store,
    takeProbes: async (request) => {
      const jobs = await stage.store.takeProbes(request)
      if (jobs.length > 0) rounds.push(jobs.length)
      return jobs
    },
  }
  // All of the handler's concurrency is the other's then.
  await before.serving.end()
  await stage.database.query('UPDATE handlers SET breaker_until = now(); UPDATE jobs SET due = now()')
  await using service = await startDispatcher(
    stage.config,
    stage.deps({ log: trail.reader(), store, owner: 'two' }),
  )
  await Promise.race([delivered.promise, service.done.then(() => assert.fail('the dispatcher ended'))])
  await service.stop()
  assert.deepEqual(rounds, [1, 2, 4, 8])
  assert.ok(stage.receiver.openMost('/app') <= CONCURRENCY)
  const ids = eventIdsOf(stage)
  assert.equal(ids.length, 20 + first.length + during.length, 'each once, and once more what had failed')
  assert.deepEqual(await stage.store.breakers(), [])
})

const OPEN_MAX = 200
const EVENTS = 2_000
/** Of them one in so many is refused for ever. */
const POISON_EVERY = 9

test('events that an endpoint refuses for ever keep no other waiting, leave its breaker closed, and die by their schedule', async () => {
  const retry = { attemptsMax: 3, backoff: { kind: 'fixed', intervalMs: HOUR_MS } } as const
  await using stage = await openDispatcherStage({ handlers: [{ name: 'app', retry }] })
  const dispatcher = await stage.compose({ openJobsMax: OPEN_MAX, stepRecordsMax: OPEN_MAX / 4 })
  const ids = await append(stage, EVENTS)
  const poison = new Set(ids.filter((_, n) => n % POISON_EVERY === 0))
  assert.ok(poison.size > OPEN_MAX)
  stage.receiver.script('/app', (_, { headers }) =>
    poison.has(String(headers['x-hooktrail-event-id'])) ? 400 : 200,
  )
  let openMost = 0
  for (let taken = 0; taken < EVENTS;) {
    await planAll(dispatcher)
    for (const { available, running } of await stage.store.openJobs())
      openMost = Math.max(openMost, available + running)
    taken += await deliverOnce(dispatcher, 'app')
  }
  const [open] = await stage.store.openJobs()
  assert.deepEqual(open, { handler: 'app', available: 0, running: 0, retryable: poison.size })
  assert.ok(openMost <= OPEN_MAX, `${openMost} open jobs`)
  assert.deepEqual(
    new Set(eventIdsOf(stage)).size,
    stage.receiver.requests.length,
    'all of them on attempt 1',
  )

  for (let attempt = 2; attempt <= retry.attemptsMax; attempt++) {
    await stage.database.query('UPDATE jobs SET due = now()')
    for (let taken = 0; taken < poison.size;) taken += await deliverOnce(dispatcher, 'app')
  }
  await dispatcher.breakers.step(AbortSignal.timeout(STEP_MS_MAX))
  assert.deepEqual(await stage.store.breakers(), [])
  assert.deepEqual(await stage.store.openJobs(), [])
  const counts = await stage.database.query<{ done: bigint; dead: bigint; opened: bigint }>(
    `SELECT (SELECT count(*) FROM jobs_done) AS done, (SELECT count(*) FROM jobs_dead) AS dead,
            (SELECT count(*) FROM audit WHERE action = 'breaker_opened') AS opened`,
  )
  assert.deepEqual(counts, [{ done: BigInt(EVENTS - poison.size), dead: BigInt(poison.size), opened: 0n }])
})
