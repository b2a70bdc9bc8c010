/**
 * Kill -9 at random points, while events are sent, on each size. Goal: nothing that was acknowledged is lost, planned
 * twice or sent twice without a visible reason. Method: rounds in one folder; each round starts the installation, sends
 * from several connections, and kills either the whole process group or only one of its servers at a random moment. At
 * the end the installation settles by itself and its trail is checked (test/support/trail-stage.ts). The same check is
 * then shown to fail on damaged copies.
 */
import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually, type Installation } from '../support/installation.ts'
import { orSkip } from '../support/services/local-process.ts'
import { scale } from '../support/scale.ts'
import { seededRandom } from '../support/seeded-random.ts'
import type { Senders } from '../support/senders.ts'
import { openSize, SIZE_NAMES, type Size } from '../support/sizes.ts'
import { checkTrail, type Trail } from '../support/trail-check.ts'
import { countsText, openTrailStage, type TrailStage } from '../support/trail-stage.ts'

const CONNECTIONS = 16
const ACKED_AGAIN_MS_MAX = 30_000

async function withKills(context: TestContext, size: Size): Promise<void> {
  const seed = Number(process.env['HOOKTRAIL_TEST_SEED'] ?? randomInt(2 ** 31))
  context.diagnostic(`seed ${seed}`)
  await using stage = await openTrailStage(size)
  const random = seededRandom(seed)
  for (let round = 0; round < scale.killRounds; round++)
    await oneRound(await stage.start(), { size, stage, random })
  const trail = await stage.start()
  await stage.settle(trail)
  const found = await stage.check(trail)
  context.diagnostic(countsText(found))
  assertCheckNotices(found)
}

interface Round {
  readonly size: Size
  readonly stage: TrailStage
  readonly random: () => number
}

async function oneRound(trail: Installation, { size, stage, random }: Round): Promise<void> {
  const stop = new AbortController()
  const send = (signal: AbortSignal): Senders =>
    stage.senders({ connections: CONNECTIONS, events: scale.killEventsPerRound, pauseMs: 0, signal })
  const sending = send(stop.signal)
  await Promise.race([sending.done, delay(50 + random() * 1500)])
  if (random() < 0.5) {
    await trail.killGroup()
    stop.abort()
  } else {
    await size.killServer(trail.home, random())
    await eventually(
      'an event is acknowledged again after the server was killed',
      ACKED_AGAIN_MS_MAX,
      async () => {
        const { 200: acked = 0 } = await send(AbortSignal.timeout(2000)).done
        return acked > 0 ? true : null
      },
    ).catch((error: unknown) => {
      throw new Error(trail.output(), { cause: error })
    })
    stop.abort()
    await (random() < 0.5 ? trail.killGroup() : trail.stop())
  }
  await sending.done
}

for (const name of SIZE_NAMES)
  test(`after kill -9 at random points every acknowledged event is archived, planned once and delivered: ${name}`, async (context) => {
    await using opened = new AsyncDisposableStack()
    const size = opened.use(await orSkip(context, openSize(name)))
    if (size === null) return
    await withKills(context, size)
  })

/** A check that cannot fail shows nothing: damaged copies of the same trail must be named. */
function assertCheckNotices(trail: Trail): void {
  const at = trail.rows.findIndex(
    (row, index) =>
      index > 0 && row.topic.includes('.events.') && trail.rows[index + 1]?.partition === row.partition,
  )
  const row = trail.rows[at]
  const next = trail.rows[at + 1]
  assert.ok(row && next)
  const damaged = {
    removed: trail.rows.toSpliced(at, 1),
    doubled: trail.rows.toSpliced(at, 0, row),
    swapped: trail.rows.toSpliced(at, 2, next, row),
  }
  for (const [kind, rows] of Object.entries(damaged))
    assert.notDeepEqual(checkTrail({ ...trail, rows }), [], kind)
}
