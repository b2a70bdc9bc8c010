/**
 * A job store that was put back to an older copy, with a log that was not: it is noticed before anything else happens,
 * made whole from what the log tells, and what the receiver has answered is not sent again.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SignedEnd } from '../../core/archive/range/signed-ends.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { HoldView } from '../../core/ports/hold-store.ts'
import type { EventRecord } from '../../core/record/event-record.ts'
import type { ArchiveWitness } from '../../dispatcher/store-guard.ts'
import { deliverOnce, planAll, runnerOf, SOURCE } from '../support/dispatcher-stage.ts'
import {
  openRecoveryStage,
  type Life,
  type LifeOptions,
  type RecoveryStage,
} from '../support/recovery-stage.ts'
import { retryOf } from '../support/job-stage.ts'

const ONE_ATTEMPT = { attemptsMax: 1, backoff: { kind: 'fixed', intervalMs: 1 } } as const
const OPTIONS: LifeOptions = {
  partitions: 2,
  handlers: [
    { name: 'good' },
    { name: 'bad', retry: { attemptsMax: 2, backoff: { kind: 'fixed', intervalMs: 1 } } },
    { name: 'paused' },
  ],
}

interface Told {
  /** Answered 2xx before the store was put back. */
  readonly answered: readonly EventRecord[]
  /** Taken, and never answered. */
  readonly lost: string
  /** Not planned yet. */
  readonly waiting: readonly EventRecord[]
  readonly older: string
}

const NO_RANGE = { range: null, eventId: null } as const

/** As the API asks for it. */
async function hold({ store }: Life, holdId: string): Promise<void> {
  const at = { topic: 'hooktrail.events.shop', topic_id: null, partition: 1 }
  const range = { ...at, from: '3', to: holdId === 'kept' ? null : '7' }
  const request = { holdId, action: 'hold' as const, range, eventId: null, reason: 'case 17' }
  const audit = { actor: 'token', action: 'archive.hold', target: holdId, reason: request.reason }
  assert.ok(await store.requestHold(request, { ...audit, details: { range, event_id: null } }))
}

async function holdsOf(stage: RecoveryStage, url: string, life?: Life): Promise<readonly HoldView[]> {
  if (life !== undefined) return (await life.store.listHolds({ limit: 10 })).items
  await using opened = await stage.live(url, OPTIONS)
  return (await opened.store.listHolds({ limit: 10 })).items
}

/** One life up to the copy, one that goes on: everything that may happen to a job happens, and is told. */
async function live(stage: RecoveryStage): Promise<Told> {
  const first: EventRecord[] = []
  {
    await using life = await stage.live(stage.databaseUrl, OPTIONS)
    const dispatcher = await life.compose()
    await pause(life)
    first.push(...(await append(life, 4)))
    await planAll(dispatcher)
    await life.tell(dispatcher)
  }
  const older = await stage.copy(stage.databaseUrl)
  await using life = await stage.live(stage.databaseUrl, OPTIONS)
  life.receiver.script('/bad', () => 500)
  const dispatcher = await life.compose()
  // Few enough that no breaker opens.
  const more = await append(life, 5)
  await planAll(dispatcher)
  await untilNone(life, 'good', dispatcher)
  await untilNone(life, 'bad', dispatcher)
  const [retried, discarded] = [first[0], first[1]]
  assert.ok(retried !== undefined && discarded !== undefined)
  const audit = { actor: 'token', reason: 'test', details: {} }
  const retry = { ...audit, action: 'job.retry', target: `${retried.id}.bad` }
  assert.equal(await life.store.settleDeadJob(retry.target, retryOf(3), retry), 'settled')
  const discard = { ...audit, action: 'job.discard', target: `${discarded.id}.bad` }
  assert.equal(await life.store.settleDeadJob(discard.target, { kind: 'discard' }, discard), 'settled')
  await hold(life, 'kept')
  await hold(life, 'ended')
  const release = { ...NO_RANGE, holdId: 'ended', action: 'release' as const, reason: 'over' }
  await life.store.requestHold(release, {
    ...audit,
    action: 'archive.release',
    target: 'ended',
    reason: 'over',
  })
  await append(life, 1)
  await planAll(dispatcher)
  const { jobs } = await life.store.takeDue({ handler: 'good', slots: 1, leaseMs: 1, generation: 'g' })
  const [lost] = jobs
  assert.ok(lost !== undefined)
  await life.tell(dispatcher)
  return { answered: [...first, ...more], lost: lost.jobId, waiting: await append(life, 3), older }
}

test('an older copy is made whole from the log, and nothing that was answered is sent again', async () => {
  await using stage = await openRecoveryStage()
  const { answered, lost, waiting, older } = await live(stage)
  const before = await states(stage, stage.databaseUrl)
  const held = await holdsOf(stage, stage.databaseUrl)
  await using life = await stage.live(older, OPTIONS)
  const dispatcher = await life.compose()
  assert.equal((await life.store.storeState()).state, 'ok')
  assert.deepEqual(await audited(life), ['store_travelled_back', 'store_recovered'])

  await planAll(dispatcher)
  await untilNone(life, 'good', dispatcher)
  const sent = life.receiver.requests.map(({ headers }) => String(headers['webhook-id']))
  const expected = [lost, ...waiting.map(({ id }) => `${id}.good`)]
  assert.deepEqual(sent.sort(), expected.sort())
  assert.ok(answered.every(({ id }) => !sent.includes(`${id}.good`)))

  const after = await states(stage, older, life)
  for (const [job, state] of before) if (job !== lost) assert.equal(after.get(job), state, job)
  assert.deepEqual(await holdsOf(stage, older, life), held)
  assert.deepEqual(await life.disagreeing(), [])
  await life.tell(dispatcher)
  assert.deepEqual(ambiguous(await stage.facts()), [])
})

test('an empty store delivers nothing while the log tells of another, and a rebuild brings that one back', async () => {
  await using stage = await openRecoveryStage()
  const { lost, waiting } = await live(stage)
  const before = await states(stage, stage.databaseUrl)
  const held = await holdsOf(stage, stage.databaseUrl)
  await using life = await stage.live(await stage.empty(), OPTIONS)
  await assert.rejects(life.guard.passed(), (error) => isHooktrailError(error, 'STORE_LOST'))

  const { storeId } = await life.rebuild()
  await life.guard.passed()
  assert.deepEqual(await life.store.storeState(), { storeId, state: 'ok' })
  const after = await states(stage, '', life)
  assert.equal(after.size, before.size)
  for (const [job, state] of before) if (job !== lost) assert.equal(after.get(job), state, job)
  const dispatcher = await life.compose()
  await planAll(dispatcher)
  await untilNone(life, 'good', dispatcher)
  const sent = life.receiver.requests.map(({ headers }) => String(headers['webhook-id']))
  assert.deepEqual(sent.sort(), [lost, ...waiting.map(({ id }) => `${id}.good`)].sort())
  const paused = (await life.store.handlers()).find(({ handler }) => handler === 'paused')
  assert.equal(paused?.status, 'paused')
  assert.equal(held.length, 2)
  assert.deepEqual(await holdsOf(stage, '', life), held)
  assert.deepEqual(await life.disagreeing(), [])
  await assert.rejects(life.rebuild(), (error) => isHooktrailError(error, 'STORE_NOT_EMPTY'))
})

test('an empty store whose log is gone, too, delivers nothing while the archive tells of another', async () => {
  await using stage = await openRecoveryStage()
  const asked = async (topic: string): Promise<void> => {
    const archive = archiveOf({
      topic,
      topicId: '0'.repeat(32),
      partition: 0,
      archivedTo: 5n,
      highWatermark: 5n,
    })
    await using life = await stage.live(await stage.empty(), { ...OPTIONS, archive })
    await life.guard.passed()
  }
  await assert.rejects(asked('hooktrail.deliveries'), (error) => isHooktrailError(error, 'STORE_LOST'))
  // Nothing was planned: a first start that was given up.
  await asked('hooktrail.audit')
})

function archiveOf(end: SignedEnd): ArchiveWitness {
  const empty = { records: [], gaps: [], tier: 'archive', logStart: 0n, highWatermark: 0n } as const
  return {
    ends: () => Promise.resolve([end]),
    readArchived: ({ from }) => Promise.resolve({ ...empty, next: from }),
    planRest: () => Promise.resolve(),
  }
}

test('a store that nobody put back raises no alarm, whatever the log is ahead', async () => {
  await using stage = await openRecoveryStage()
  {
    await using life = await stage.live(stage.databaseUrl, OPTIONS)
    const dispatcher = await life.compose()
    await append(life, 10)
    await planAll(dispatcher)
    await deliverOnce(dispatcher, 'good')
    // Appended, and the position of the relay never moved: as after kill -9 in between.
    await life.tell({ ...dispatcher })
    await life.database.query('UPDATE relay_positions SET incarnation = 1, xid = $1, id = 0', ['0'])
    await life.database.query('DELETE FROM noted_offsets')
  }
  await using life = await stage.live(stage.databaseUrl, OPTIONS)
  const dispatcher = await life.compose()
  await life.tell(dispatcher)
  life.guard.doubt()
  await life.guard.passed()
  assert.deepEqual(await audited(life), [])
  assert.equal((await life.database.query('SELECT FROM noted_offsets')).length, 4)
})

const SLOW = { attemptsMax: 5, backoff: { kind: 'fixed', intervalMs: 3_600_000 } } as const
const REPLAYS = {
  partitions: 1,
  handlers: [
    { name: 'good', retry: SLOW },
    { name: 'bad', retry: ONE_ATTEMPT },
  ],
} as const

test('a replay that the copy knows goes on without what was answered since; a later one is told as lost', async () => {
  await using stage = await openRecoveryStage()
  const [known, later] = ['01J00000000000000000000001', '01J00000000000000000000002'] as const
  {
    await using life = await stage.live(stage.databaseUrl, REPLAYS)
    const dispatcher = await life.compose()
    await append(life, 6)
    await planAll(dispatcher)
    await untilNone(life, 'good', dispatcher)
    await askReplay(life, known)
    await life.tell(dispatcher)
  }
  const older = await stage.copy(stage.databaseUrl)
  {
    await using life = await stage.live(stage.databaseUrl, REPLAYS)
    const dispatcher = await life.compose()
    await replayAll(life, dispatcher)
    life.receiver.script('/good', (n) => (n < 9 ? 200 : 500))
    await askReplay(life, later)
    await replayAll(life, dispatcher)
    assert.equal(life.receiver.requests.length, 12)
    await life.tell(dispatcher)
  }
  await using life = await stage.live(older, REPLAYS)
  const dispatcher = await life.compose()
  assert.deepEqual(await audited(life), ['store_travelled_back', 'store_recovered'])
  assert.deepEqual(await life.disagreeing(), [])
  await replayAll(life, dispatcher)
  assert.deepEqual(life.receiver.requests, [], 'all of it was answered before')
  assert.equal((await life.store.getReplay(known))?.delivered, 6)
  const lost = await life.database.query("SELECT target FROM audit WHERE action = 'replay.lost'")
  assert.deepEqual(lost, [{ target: later }])
  assert.deepEqual(await life.disagreeing(), [])
})

test('a discarded job that a repetition revived comes back as what became of it', async () => {
  await using stage = await openRecoveryStage()
  const revived: string[] = []
  {
    await using life = await stage.live(stage.databaseUrl, REPLAYS)
    const dispatcher = await life.compose()
    await life.tell(dispatcher)
  }
  const older = await stage.copy(stage.databaseUrl)
  {
    await using life = await stage.live(stage.databaseUrl, REPLAYS)
    life.receiver.script('/bad', (n) => (n < 2 ? 400 : 200))
    const dispatcher = await life.compose()
    const events = await life.append([{ dedupKey: 'a' }, { dedupKey: 'b' }])
    await planAll(dispatcher)
    await untilNone(life, 'bad', dispatcher)
    for (const { id } of events) {
      const audit = { actor: 'token', action: 'job.discard', target: `${id}.bad`, reason: null, details: {} }
      assert.equal(await life.store.settleDeadJob(`${id}.bad`, { kind: 'discard' }, audit), 'settled')
    }
    await life.append([{ dedupKey: 'a' }])
    await planAll(dispatcher)
    await untilNone(life, 'bad', dispatcher)
    // This one is open when the store is put back.
    await life.append([{ dedupKey: 'b' }])
    await planAll(dispatcher)
    revived.push(...events.map(({ id }) => `${id}.bad`))
    await life.tell(dispatcher)
  }
  await using life = await stage.live(older, REPLAYS)
  const dispatcher = await life.compose()
  const [delivered = '', open = ''] = revived
  const after = await states(stage, older, life)
  assert.deepEqual([after.get(delivered), after.get(open)], ['completed 2/2', 'open 1/2'])
  await planAll(dispatcher)
  await untilNone(life, 'bad', dispatcher)
  const sent = life.receiver.requests.flatMap(({ path, headers }) =>
    path === '/bad' ? [headers['webhook-id']] : [],
  )
  assert.deepEqual(sent, [open])
  assert.deepEqual(await life.disagreeing(), [])
})

async function askReplay({ store, config, log }: Life, replayId: string): Promise<void> {
  const topic = (await log.topics()).find(({ name }) => name === `hooktrail.events.${SOURCE}`)
  assert.ok(topic !== undefined)
  const [handler] = config.handlers
  const made = await store.createReplay({
    ...{
      replayId,
      handler: handler?.name ?? '',
      toTopic: null,
      source: SOURCE,
      topic: topic.name,
      filter: null,
    },
    ...{ eventIds: null, perSecond: null, asked: {}, isDryRun: false },
    ranges: [{ topicId: topic.id, partition: 0, first: 0n, end: 6n }],
    audit: { actor: 'token', action: 'replay.create', target: replayId, reason: null, details: {} },
  })
  assert.equal(made, 'created')
}

/** Plans all that is asked for; takes and delivers while something is taken. */
async function replayAll({ store }: Life, dispatcher: Awaited<ReturnType<Life['compose']>>): Promise<void> {
  const signal = new AbortController().signal
  const runner = runnerOf(dispatcher, 'good')
  for (let taken = 1; taken > 0;) {
    await dispatcher.replays.look()
    while ((await dispatcher.replays.step(signal)) === 0);
    await dispatcher.replays.look()
    taken = await runner.step(signal)
    await runner.drained(signal)
    await store.reapExpired(10)
  }
}

async function append(life: Life, count: number): Promise<readonly EventRecord[]> {
  return life.append(Array.from({ length: count }, () => ({})))
}

async function pause({ store }: Life): Promise<void> {
  const audit = { actor: 'token', action: 'handler.pause', target: 'paused', reason: null, details: {} }
  assert.equal(await store.setHandlerStatus('paused', 'paused', audit), true)
}

/** Takes and delivers until nothing is due. */
async function untilNone(
  life: Life,
  handler: string,
  dispatcher: Awaited<ReturnType<Life['compose']>>,
): Promise<void> {
  const isOpen = async (): Promise<boolean> =>
    (await life.store.openJobs()).some(
      (row) => row.handler === handler && row.available + row.running + row.retryable > 0,
    )
  while (await isOpen()) {
    await deliverOnce(dispatcher, handler)
    await life.store.reapExpired(10)
  }
}

/** By job id, in every table. */
async function states(stage: RecoveryStage, url: string, life?: Life): Promise<ReadonlyMap<string, string>> {
  if (life === undefined) {
    await using own = await stage.live(url, OPTIONS)
    return await states(stage, url, own)
  }
  const rows = await life.database.query<{ job: string; state: string }>(
    `SELECT job_id AS job, CASE state WHEN 'available' THEN 'open' WHEN 'retryable' THEN 'open' ELSE state END
              || ' ' || attempt || '/' || max_attempts AS state
       FROM (SELECT job_id, state, attempt, max_attempts FROM jobs
             UNION ALL SELECT job_id, state, attempt, max_attempts FROM jobs_done
             UNION ALL SELECT job_id, 'dead', attempt, max_attempts FROM jobs_dead) AS every`,
  )
  return new Map(rows.map(({ job, state }) => [job, state]))
}

async function audited({ database }: Life): Promise<readonly string[]> {
  const rows = await database.query<{ action: string }>(
    `SELECT action FROM audit WHERE action LIKE 'store%' ORDER BY id`,
  )
  return rows.map(({ action }) => action)
}

/** Ids under which two different things were told. */
function ambiguous(facts: Awaited<ReturnType<RecoveryStage['facts']>>): readonly string[] {
  const told = new Map<string, string>()
  return facts.flatMap(({ kind, incarnation, id, row }) => {
    const name = `${kind} ${incarnation}.${id}`
    const text = JSON.stringify(row)
    const other = told.get(name) ?? text
    told.set(name, text)
    return other === text ? [] : [name]
  })
}
