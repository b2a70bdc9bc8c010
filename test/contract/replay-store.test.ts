/** Replays in the job store: planned once, taken behind live traffic and never after a cancel, ended when they are over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { TakenJob } from '../../core/ports/delivery-store.ts'
import type { DedupClaim, StepDecision } from '../../core/ports/plan-store.ts'
import { OPEN_REPLAYS_MAX, type NewReplay, type ReplayAction } from '../../core/ports/replay-store.ts'
import { replayName } from '../../core/replay/replay-name.ts'
import {
  claim,
  createJobStage,
  decide,
  LEASE_MS,
  outcome,
  plan,
  retryOf,
  stepRequest,
  take,
  TOPIC_ID,
  type JobStage,
} from '../support/job-stage.ts'

const ID = '01J00000000000000000000001'
const NAME = replayName('billing', ID)
const OTHER_BODY = Buffer.alloc(32, 9)

function audit(action: string) {
  return { actor: 'ada', action, target: ID, reason: 'because', details: {} }
}

async function create(stage: JobStage, end: number, more: Partial<NewReplay> = {}): Promise<void> {
  const made = await stage.store.createReplay({
    ...{ replayId: ID, handler: 'billing', source: 'shop', topic: 'ht.events.shop' },
    ...{ toTopic: null, filter: null, eventIds: null, perSecond: null, asked: {}, isDryRun: false },
    ranges: [{ topicId: TOPIC_ID, partition: 0, first: 0n, end: BigInt(end) }],
    audit: audit('replay.create'),
    ...more,
  })
  assert.equal(made, 'created')
}

function change(stage: JobStage, action: ReplayAction) {
  return stage.store.changeReplay(ID, action, audit(`replay.${action}`))
}

async function planReplay(
  stage: JobStage,
  claims: readonly DedupClaim[],
  deadOffsets: readonly bigint[] = [],
) {
  const input = { claims, handlers: [NAME], deadOffsets }
  const decisions: StepDecision[] = []
  const result = await stage.store.commitReplayStep(stepRequest(input), (locked) => {
    const decision = decide(input, locked)
    decisions.push(decision)
    return decision
  })
  return { kind: result.kind, jobs: decisions.at(-1)?.jobs.length ?? 0 }
}

function takeReplayed(stage: JobStage, slots = 100): Promise<readonly TakenJob[]> {
  return stage.store.takeReplayed({ name: NAME, slots, leaseMs: LEASE_MS, generation: 'g1' })
}

function claims(count: number): readonly DedupClaim[] {
  return Array.from({ length: count }, (_, n) => claim(n))
}

/** `count` events, all of them delivered. */
async function deliverLive(stage: JobStage, count: number): Promise<void> {
  await plan(stage.store, { claims: claims(count) })
  await stage.store.recordOutcomes(
    (await take(stage.store)).map((job) => outcome(job, { state: 'completed' })),
  )
}

async function agrees(stage: JobStage): Promise<void> {
  const report = createReportStore(stage.database, () => Promise.resolve([]), systemClock)
  const window = { sinceMs: null, untilMs: null }
  assert.deepEqual((await report.sums(window, new AbortController().signal)).disagreeing, [])
}

test('a replay is planned once, delivered under its own name, and ends with its last job', async () => {
  await using stage = await createJobStage()
  await deliverLive(stage, 3)
  await create(stage, 3)
  const race = await Promise.all([planReplay(stage, claims(3)), planReplay(stage, claims(3))])
  assert.deepEqual(race.map(({ kind }) => kind).toSorted(), ['committed', 'lost'])
  assert.deepEqual(await stage.store.settleReplays(), [])
  const jobs = await takeReplayed(stage)
  assert.deepEqual(
    jobs.map(({ jobId }) => jobId),
    claims(3).map(({ eventId }) => `${eventId}.${NAME}`),
  )
  await stage.store.recordOutcomes(jobs.map((job) => outcome(job, { state: 'completed' })))
  assert.deepEqual(await stage.store.settleReplays(), [ID])
  const view = await stage.store.getReplay(ID)
  assert.deepEqual(
    [view?.status, view?.delivered, view?.open, view?.counts.planned, view?.ranges[0]?.next],
    ['completed', 3, 0, 3, 3n],
  )
  assert.deepEqual(await stage.store.openReplays(['billing']), [])
  await agrees(stage)
})

test('a dry run counts and writes no job; resumed, it plans the same offsets from the beginning', async () => {
  await using stage = await createJobStage()
  await deliverLive(stage, 4)
  await create(stage, 4, { isDryRun: true })
  assert.deepEqual(await planReplay(stage, claims(4)), { kind: 'committed', jobs: 4 })
  assert.deepEqual(await takeReplayed(stage), [])
  await stage.store.settleReplays()
  const counted = await stage.store.getReplay(ID)
  assert.deepEqual([counted?.status, counted?.counts.planned, counted?.open], ['counted', 4, 0])
  assert.equal(await change(stage, 'resume'), 'changed')
  assert.equal((await planReplay(stage, claims(4))).kind, 'committed')
  const view = await stage.store.getReplay(ID)
  assert.deepEqual([view?.status, view?.counts, view?.open], ['running', counted?.counts, 4])
  await agrees(stage)
})

test('live jobs that are due are taken first, and a paused handler or replay is not taken', async () => {
  await using stage = await createJobStage()
  await deliverLive(stage, 2)
  await create(stage, 2)
  await planReplay(stage, claims(2))
  await plan(stage.store, { claims: [claim(2)] })
  assert.deepEqual(await takeReplayed(stage), [])
  assert.equal((await take(stage.store)).length, 1)
  assert.equal((await takeReplayed(stage, 1)).length, 1)
  await stage.store.setHandlerStatus('billing', 'paused', audit('handler.pause'))
  assert.deepEqual(await takeReplayed(stage), [])
  await stage.store.setHandlerStatus('billing', 'active', audit('handler.enable'))
  assert.equal(await change(stage, 'pause'), 'changed')
  assert.equal(await change(stage, 'pause'), 'refused')
  assert.deepEqual(await takeReplayed(stage), [])
  assert.equal(await change(stage, 'resume'), 'changed')
  assert.equal((await takeReplayed(stage)).length, 1)
})

test('nothing is taken or planned behind the commit of a cancel, and what is open then is discarded', async () => {
  await using stage = await createJobStage()
  await deliverLive(stage, 4)
  await create(stage, 4)
  await planReplay(stage, claims(3))
  const [sent, dead] = await takeReplayed(stage, 2)
  assert(sent && dead)
  await stage.store.recordOutcomes([outcome(dead, { state: 'dead' })])
  await using other = await stage.database.connect()
  await other.query('BEGIN')
  await other.query("UPDATE replays SET status = 'cancelled'")
  const waiting = takeReplayed(stage)
  await other.query('COMMIT')
  assert.deepEqual(await waiting, [])
  await other.query("UPDATE replays SET status = 'running'")

  assert.equal(await change(stage, 'cancel'), 'changed')
  assert.equal((await planReplay(stage, [claim(3)])).kind, 'lost')
  assert.deepEqual(await takeReplayed(stage), [])
  assert.deepEqual(await stage.store.settleReplays(), [])
  await stage.store.recordOutcomes([outcome(sent, { state: 'retryable', delayMs: 0 })])
  assert.deepEqual(await stage.store.settleReplays(), [ID])
  const view = await stage.store.getReplay(ID)
  assert.deepEqual([view?.status, view?.discarded, view?.dead, view?.open], ['cancelled', 3, 0, 0])
  assert.equal(await change(stage, 'resume'), 'refused')
  await agrees(stage)
})

test('a dead job of a replay that is over can be retried, with the budget of its handler', async () => {
  await using stage = await createJobStage()
  await deliverLive(stage, 1)
  await create(stage, 1)
  await planReplay(stage, claims(1))
  const [job] = await takeReplayed(stage)
  assert(job)
  await stage.store.recordOutcomes([outcome(job, { state: 'dead' })])
  assert.deepEqual(await stage.store.settleReplays(), [ID])
  assert.equal((await stage.store.getReplay(ID))?.dead, 1)
  assert.equal(await stage.store.settleDeadJob(job.jobId, retryOf(5), audit('job.retry')), 'settled')
  const [again] = await takeReplayed(stage)
  assert.equal(again?.maxAttempts, 8)
  await stage.store.recordOutcomes([outcome(again, { state: 'completed' })])
  assert.deepEqual(await stage.store.settleReplays(), [ID])
  await agrees(stage)
})

test('what the index remembers decides, and what it has forgotten is decided inside the replay', async () => {
  await using stage = await createJobStage()
  const old = [
    claim(0, { key: 'a' }),
    claim(1, { key: 'a' }),
    claim(2, { key: 'b' }),
    claim(3, { key: 'b', bodyDigest: OTHER_BODY }),
  ]
  await plan(stage.store, { claims: old })
  await create(stage, 8)
  assert.equal((await planReplay(stage, old.slice(0, 2))).jobs, 1)
  await stage.database.query('DELETE FROM first_seen; DELETE FROM events')
  assert.equal((await planReplay(stage, [old[2] ?? claim(2)])).jobs, 1)
  // The same key, the same id under another key, and a key of its own: in steps of their own.
  const same = claim(3, { key: 'b' })
  const sameId = claim(4, { key: 'other', eventId: claim(2).eventId })
  const later = claim(5, { key: 'b', timestampMs: 9_000_000n })
  assert.deepEqual(
    [
      await planReplay(stage, [same]),
      await planReplay(stage, [sameId]),
      await planReplay(stage, [later]),
    ].map(({ jobs }) => jobs),
    [0, 0, 1],
  )
  assert.deepEqual((await planReplay(stage, [claim(6), claim(7, { key: 'key-6' })])).jobs, 1)
})

test('a rate bounds how many are taken at once, and goes on with time', async () => {
  await using stage = await createJobStage()
  await deliverLive(stage, 40)
  await create(stage, 40, { perSecond: 10 })
  await planReplay(stage, claims(40))
  await stage.database.query("UPDATE replays SET paced_to = now() - interval '1 hour'")
  assert.equal((await takeReplayed(stage, 3)).length, 3)
  const burst = await takeReplayed(stage)
  assert(burst.length >= 7 && burst.length <= 10, `${burst.length} of a burst of ten`)
  await stage.database.query("UPDATE replays SET paced_to = now() + interval '1 hour'")
  assert.deepEqual(await takeReplayed(stage), [])
})

test('a handler has so many replays and no more, and a name that is repeated makes no second', async () => {
  await using stage = await createJobStage()
  for (let n = 0; n < OPEN_REPLAYS_MAX; n++)
    await create(stage, 1, { replayId: `01J${String(n).padStart(23, '0')}` })
  await create(stage, 1, { replayId: `01J${String(0).padStart(23, '0')}` })
  const page = await stage.store.listReplays({ handler: 'billing', limit: 10 })
  assert.deepEqual([page.items.length, page.items[0]?.replayId], [10, `01J${'15'.padStart(23, '0')}`])
  const more = await stage.store.createReplay({
    ...{ replayId: ID.replace('1J', '1K'), handler: 'billing', source: 'shop', topic: 'ht.events.shop' },
    ...{
      toTopic: null,
      filter: null,
      eventIds: null,
      perSecond: null,
      asked: {},
      isDryRun: false,
      ranges: [],
    },
    audit: audit('replay.create'),
  })
  assert.equal(more, 'too-many')
})

test('what is over is forgotten with its retention, unless it has a dead letter, and so are old dry runs', async () => {
  await using stage = await createJobStage()
  await deliverLive(stage, 1)
  await create(stage, 1)
  await planReplay(stage, claims(1))
  const [job] = await takeReplayed(stage)
  assert(job)
  await stage.store.recordOutcomes([outcome(job, { state: 'dead' })])
  await stage.store.settleReplays()
  await create(stage, 1, { replayId: '01J00000000000000000000002', isDryRun: true })
  await stage.database.query(
    "UPDATE replays SET created_at = now() - interval '8 days', ended_at = ended_at - interval '2 days', status = CASE status WHEN 'counting' THEN 'counted' ELSE status END",
  )
  const retention = { doneHours: 24, deadHours: 24, firstSeenMs: null }
  const left = async () => {
    await stage.store.maintainSlices(retention)
    return (await stage.store.listReplays({ limit: 10 })).items.map(({ replayId }) => replayId)
  }
  assert.deepEqual(await left(), [ID])
  await stage.database.query('DELETE FROM jobs_dead')
  assert.deepEqual(await left(), [])
})
