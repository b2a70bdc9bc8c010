/**
 * Archivers that die before and after each of their writes, twice in a row, one alone and three that write everything side by
 * side, on stores that rotate by a seed; and writes that are refused, or answered otherwise than they went. What is archived
 * in the end is what was appended, record for record, and verifies.
 */
import assert from 'node:assert/strict'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { ErrorCode } from '../../core/error/catalogue.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { CRASH_POINTS, crashPointOf, type CrashPoint } from '../support/crash-points.ts'
import { ArchiverLife } from '../support/archiver-life.ts'
import { openStage } from '../support/archiver-stage.ts'
import { CONFIG, openScene, sharedLeases, type Scene } from '../support/crash-scene.ts'
import { HandClock } from '../support/hand-clock.ts'
import { FaultPlan, type Effect, type Fault, type Moment } from '../support/mortal-process.ts'
import { buildWideArchive } from '../support/wide-archive.ts'
import { openS3Stage, type S3Stage } from '../support/s3-stage.ts'
import { scale } from '../support/scale.ts'
import { startFaultProxy, type Fault as HttpFault } from '../support/services/fault-proxy.ts'
import { startOrReason } from '../support/services/s3-service.ts'
import { startSeaweedfs } from '../support/services/seaweedfs.ts'
import { startVersitygw } from '../support/services/versitygw.ts'

const DAY_MS = 86_400_000
/** Behind the last request that may not have seen a hold. */
const SETTLED_MS = 601_000
/** In a row. */
const DEATHS = 2
const FAILURES_IN_A_ROW = 3

const opened = new AsyncDisposableStack()
after(() => opened.disposeAsync())

interface Place {
  readonly name: string
  /** Null: a directory. A text: why there is no such store here. */
  readonly s3: S3Stage | string | null
}

const PLACES: readonly Place[] = [
  { name: 'versitygw', s3: await openBucket(startVersitygw) },
  { name: 'SeaweedFS', s3: await openBucket(startSeaweedfs) },
  { name: 'a directory', s3: null },
]

async function openBucket(start: typeof startVersitygw): Promise<S3Stage | string> {
  const service = await startOrReason(start)
  return typeof service === 'string' ? service : opened.use(await openS3Stage(opened.use(service)))
}

/** What only an archiver on a store with locks writes. */
const LOCKING: readonly CrashPoint[] = [
  ...(['policy/', 'holds/', 'lock.extend', 'lock.hold', 'lock.probe', 'store.hold'] as const),
]
/** What takes a past of its own. */
const ELSEWHERE: readonly CrashPoint[] = ['tlog/', 'log.replace', 'store.recover']

/** Each point has its turn on one place in a round of seeds. */
function pointsOf(place: number, seed: number): readonly CrashPoint[] {
  return CRASH_POINTS.filter((point) => !ELSEWHERE.includes(point)).filter(
    (point, index) =>
      (index + seed) % (LOCKING.includes(point) ? PLACES.length - 1 : PLACES.length) === place,
  )
}

/** Records, a legal hold, another key, two days, and an end. */
async function liveOn({ stage, at, round, rotate, finish }: Scene): Promise<void> {
  await round(60_000)
  const range = { topic: at.topic, topic_id: null, partition: null, from: '0', to: null }
  const audit = { actor: 'test', action: 'archive.hold', target: 'case', reason: 'case', details: {} }
  const hold = { holdId: 'case', action: 'hold' as const, range, eventId: null, reason: 'case' }
  assert.ok(await stage.jobs.requestHold(hold, audit))
  rotate()
  for (const pauseMs of [SETTLED_MS, DAY_MS, 60_000]) await round(pauseMs)
  await finish()
}

interface Life {
  readonly what: string
  readonly place: Place
  readonly archivers: number
  readonly faults: readonly Fault[]
}

function testLife({ what, place, archivers, faults }: Life): void {
  const { name, s3 } = place
  const many = archivers === 1 ? 'one archiver' : `${String(archivers)} archivers`
  test(`${what}, with ${many} on ${name}`, { skip: typeof s3 === 'string' ? s3 : false }, async (t) => {
    if (typeof s3 === 'string') return
    await using scene = await openScene({ s3, archivers, faults })
    await liveOn(scene)
    await scene.check()
    t.diagnostic(`${String(scene.plan.struck.length)} faults: ${scene.plan.struck.join(', ')}`)
  })
}

test('a write that has no name in the list of crash points ends the test that makes it', () => {
  assert.throws(
    () => crashPointOf('archive', 'create', [{ key: 'erasures/000000000000.note' }]),
    /no crash point/,
  )
  for (const [port, method] of [
    ['store', 'commitStep'],
    ['log', 'append'],
    ['archive', 'remove'],
  ] as const)
    assert.throws(() => crashPointOf(port, method, []), /no crash point/)
})

/** Twice before, and then twice after. */
function deaths(points: readonly CrashPoint[]): readonly Fault[] {
  return (['before', 'after'] as const).flatMap((moment) =>
    points.map((point) => ({ point, moment, times: DEATHS, effect: 'death' as const })),
  )
}

for (let seed = 0; seed < scale.crashSeeds; seed++)
  for (const [index, place] of PLACES.entries())
    testLife({
      what: `processes that die before and after their writes, seed ${String(seed)}`,
      place,
      archivers: (index + seed) % 2 === 0 ? 3 : 1,
      faults: deaths(pointsOf(index, seed)),
    })

/** The store, the log or the database refuses, has done it and says that it did not, or says that somebody else was first. */
const FAILURES: readonly { readonly what: string; readonly moment: Moment; readonly isConflict: boolean }[] =
  [
    { what: 'writes that are refused', moment: 'before', isConflict: false },
    { what: 'writes that are answered by an error and were done', moment: 'after', isConflict: false },
    { what: 'creates that find something where nothing is', moment: 'before', isConflict: true },
    { what: 'creates that find what they wrote themselves', moment: 'after', isConflict: true },
  ]

function failures(
  points: readonly CrashPoint[],
  { moment, isConflict }: (typeof FAILURES)[number],
): readonly Fault[] {
  return points
    .filter((point) => !isConflict || point.includes('/') || point.endsWith('.note'))
    .map((point) => ({
      point,
      moment,
      times: FAILURES_IN_A_ROW,
      effect: isConflict ? CONFLICT : errorOf(point),
    }))
}

const CONFLICT: Effect = { answer: 'exists' }

function errorOf(point: CrashPoint): Effect {
  const [port = ''] = point.split('.')
  const code = ERRORS[port] ?? 'ARCHIVE_STORE_UNAVAILABLE'
  return { error: new HooktrailError(code, { reason: `the test refuses ${point}` }) }
}

const ERRORS: Readonly<Partial<Record<string, ErrorCode>>> = {
  ...{
    log: 'LOG_UNAVAILABLE',
    store: 'STORE_UNAVAILABLE',
    anchor: 'ARCHIVE_ANCHOR_FAILED',
    keys: 'ARCHIVE_SIGNER_FAILED',
  },
}

for (let seed = 0; seed < scale.crashSeeds; seed++)
  for (const [turn, failure] of FAILURES.entries()) {
    const index = (turn + seed) % PLACES.length
    const place = PLACES[index]
    assert(place !== undefined)
    const archivers = (turn + seed) % 2 === 0 ? 1 : 3
    const points = CRASH_POINTS.filter((point) => !ELSEWHERE.includes(point)).filter(
      (point) => place.s3 !== null || !LOCKING.includes(point),
    )
    testLife({
      what: `${failure.what}, seed ${String(seed)}`,
      place,
      archivers,
      faults: failures(points, failure),
    })
  }

for (const archivers of [1, 3])
  test(`a log that was put back is closed and goes on though ${String(archivers)} of them die at each write of that`, async () => {
    const faults = deaths(['store.recover', 'log.replace'])
    await using scene = await openScene({ s3: null, archivers, faults })
    await scene.round(60_000)
    scene.kill()
    // Offset 5 was signed as there and never archived; offset 4 comes to the new incarnation.
    await scene.stage.rewind(scene.at, 5n)
    await scene.turn()
    await scene.round(60_000)
    await scene.finish()
    await scene.check(['round-0-5'])
  })

/** Two tiles of 256 manifests, and some behind them. */
const SEGMENTS = 520
const TILES = ['tlog/tile/0/000', 'tlog/tile/0/001']

test('tiles are the same though the process dies before and after it writes them', async () => {
  await using stage = await openStage()
  const folder = join(stage.folder, 'built')
  const builder = await buildWideArchive(folder, SEGMENTS)
  const tiles = (): Promise<Buffer[]> => Promise.all(TILES.map((key) => readFile(join(folder, key))))
  const due = await tiles()
  await rm(join(folder, 'tlog'), { recursive: true })
  await stage.topic(`${stage.topicPrefix}.events.empty`)
  const clock = new HandClock(builder.nowMs)
  const plan = new FaultPlan(deaths(['tlog/']))
  const ports = { archive: builder.store, signer: builder.signer, verifiers: builder.keys }
  const deps = stage.deps('tiles', {
    clock,
    deps: { ...ports, store: sharedLeases(stage.jobs), spoolDirectory: join(stage.folder, 'spool') },
  })
  await new ArchiverLife({ config: CONFIG, deps, clock, plan }).turn()
  assert.deepEqual(plan.struck, ['before tlog/', 'before tlog/', 'after tlog/', 'after tlog/'])
  assert.deepEqual(await tiles(), due)
  const { exitCode, findings } = await stage.verify({
    ...{ store: builder.store, keys: builder.keys, nowMs: clock.now(), level: 1 },
  })
  assert.equal(exitCode, 0, JSON.stringify(findings, null, 1))
})

for (const { name, s3 } of PLACES) {
  if (s3 === null) continue
  const title = `an archiver goes on through what ${name} answers when it is overloaded, raced for and cut off`
  test(title, { skip: typeof s3 === 'string' ? s3 : false }, async () => {
    if (typeof s3 === 'string') return
    await using proxy = await startFaultProxy(s3.service.endpoint)
    await using scene = await openScene({ s3, endpoint: proxy.endpoint, archivers: 1, faults: [] })
    for (const storm of STORMS) {
      proxy.spoil('PUT', storm)
      proxy.spoil('GET', READ_FAULTS)
      await scene.round(SETTLED_MS)
    }
    await scene.finish()
    await scene.check()
  })
}

function answers(status: number, code: string, isDone = false): HttpFault {
  const body = `<Error><Code>${code}</Code><Message>spoiled</Message></Error>`
  return { kind: isDone ? 'other-answer' : 'answer', status, body }
}

const READ_FAULTS: readonly HttpFault[] = [{ kind: 'lost-answer' }, answers(503, 'SlowDown')]

/** Requests that follow each other; a create gives up after four. */
const STORMS: readonly (readonly HttpFault[])[] = [
  Array.from({ length: 9 }, () => answers(409, 'ConditionalRequestConflict')),
  Array.from({ length: 5 }, () => answers(412, 'PreconditionFailed')),
  Array.from({ length: 9 }, () => answers(500, 'InternalError', true)),
  [answers(503, 'SlowDown', true), { kind: 'lost-request' }, { kind: 'lost-answer' }],
]
