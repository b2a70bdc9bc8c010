/**
 * Archivers that die before and after each of their writes, twice in a row, one alone and three that write everything side by
 * side, on stores that rotate by a seed; and writes that are refused, or answered otherwise than they went. What is archived
 * in the end is what was appended, record for record, and verifies.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { ErrorCode } from '../../core/error/catalogue.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { CRASH_POINTS, type CrashPoint } from '../support/crash-points.ts'
import { openScene, type Scene } from '../support/crash-scene.ts'
import type { Effect, Fault, Moment } from '../support/mortal-process.ts'
import { openS3Stage, type S3Stage } from '../support/s3-stage.ts'
import { scale } from '../support/scale.ts'
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

/** Records, a legal hold, two days, and an end. */
async function liveOn({ stage, at, round, finish }: Scene): Promise<void> {
  await round(60_000)
  const range = { topic: at.topic, topic_id: null, partition: null, from: '0', to: null }
  const audit = { actor: 'test', action: 'archive.hold', target: 'case', reason: 'case', details: {} }
  const hold = { holdId: 'case', action: 'hold' as const, range, eventId: null, reason: 'case' }
  assert.ok(await stage.jobs.requestHold(hold, audit))
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

function deaths(points: readonly CrashPoint[], moment: Moment): readonly Fault[] {
  return points.map((point) => ({ point, moment, times: DEATHS, effect: 'death' }))
}

for (let seed = 0; seed < scale.crashSeeds; seed++)
  for (const [index, place] of PLACES.entries())
    for (const [turn, moment] of (['before', 'after'] as const).entries())
      testLife({
        what: `processes that die ${moment} their writes, seed ${String(seed)}`,
        place,
        archivers: (index + turn + seed) % 2 === 0 ? 3 : 1,
        faults: deaths(pointsOf(index, seed), moment),
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
  ...{ log: 'LOG_UNAVAILABLE', store: 'STORE_UNAVAILABLE', anchor: 'ARCHIVE_ANCHOR_FAILED' },
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
