/**
 * The database of one box is put back to an older copy, and the log in it travels along: the archive is the second
 * witness. What it holds is neither lost nor delivered again; what was never archived is lost with a signed reason, and
 * its places are listed.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { cp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { deliveredJobs } from '../support/archive-reader.ts'
import { eventually, type Installation } from '../support/installation.ts'
import { untilAnswered } from '../support/outage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { openSize } from '../support/sizes.ts'
import { checkTrail, type Trail } from '../support/trail-check.ts'
import { countsText, openTrailStage, SETTLE_MS_MAX, type TrailStage } from '../support/trail-stage.ts'

const EVENTS = 60
const WHOLE_AGAIN = /travelled back[^]*the job store is whole again/

test('a database that is put back after everything was archived loses nothing and delivers nothing again', async (context) => {
  await withStage(context, async (stage) => {
    const copied = await liveAndCopy(stage)
    const second = await stage.start()
    await send(stage)
    await stage.settle(second)
    assert.equal(await second.stop(), 0, second.output())
    await putBack(copied)
    const third = await stage.start()
    await untilWhole(third)
    await send(stage)
    await stage.settle(third)
    const trail = await stage.find(third)
    assert.deepEqual(checkTrail(trail), [])
    context.diagnostic(countsText(trail))
  })
})

test('what was not archived when the database was put back is a signed loss, and all else goes on', async (context) => {
  await withStage(context, async (stage) => {
    const copied = await liveAndCopy(stage)
    const second = await stage.start()
    await send(stage)
    await stage.settle(second)
    const stop = new AbortController()
    const burst = stage.senders({ connections: 8, events: 1_000_000, pauseMs: 0, signal: stop.signal })
    await untilAnswered(burst, '200', EVENTS)
    await second.killGroup()
    stop.abort()
    await burst.done
    const acked = stage.acked()
    await stopPostgres(copied)
    await putBack(copied)

    const third = await stage.start()
    await untilWhole(third)
    await send(stage)
    const fresh = stage.acked().slice(acked.length)
    await untilDelivered(stage, third, fresh)
    const report = await third.cli('report', '--url', third.url)
    const losses = /log-travelled-back/.test(report.stdout)
    assert.equal(report.code, losses ? 2 : 0, report.stdout)
    const trail = await stage.find(third, losses ? 2 : 0)
    assertNothingElse(trail, { acked, fresh }, context)
  })
})

interface Copied {
  readonly folder: string
  readonly copy: string
}

async function withStage(context: TestContext, run: (stage: TrailStage) => Promise<void>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(context, openSize('one box')))
  if (size === null) return
  await using stage = await openTrailStage(size)
  await run(stage)
}

async function liveAndCopy(stage: TrailStage): Promise<Copied> {
  const first = await stage.start()
  await send(stage)
  await stage.settle(first)
  assert.equal(await first.stop(), 0, first.output())
  const copied = { folder: join(first.home, 'postgres'), copy: join(first.home, '..', 'copy') }
  await cp(copied.folder, copied.copy, { recursive: true })
  return copied
}

/** It outlives its process that was killed. */
async function stopPostgres({ folder }: Copied): Promise<void> {
  const file = join(folder, 'postmaster.pid')
  process.kill(Number((await readFile(file, 'utf8')).split('\n')[0]), 'SIGINT')
  await eventually('Postgres has stopped', SETTLE_MS_MAX, () =>
    Promise.resolve(existsSync(file) ? null : true),
  )
}

async function putBack({ folder, copy }: Copied): Promise<void> {
  await rm(folder, { recursive: true })
  await cp(copy, folder, { recursive: true })
}

async function send(stage: TrailStage): Promise<void> {
  await stage.senders({ connections: 4, events: EVENTS, pauseMs: 0 }).done
}

async function untilWhole(trail: Installation): Promise<void> {
  await eventually('the store travelled back, and is whole again', SETTLE_MS_MAX, () =>
    Promise.resolve(WHOLE_AGAIN.test(trail.output()) ? true : null),
  ).catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
}

async function untilDelivered(
  { rows }: Pick<TrailStage, 'rows'>,
  trail: Installation,
  ids: readonly string[],
): Promise<void> {
  await eventually('the archive holds what came after', SETTLE_MS_MAX, () => {
    const succeeded = deliveredJobs(rows(trail))
    return Promise.resolve(ids.every((id) => succeeded.has(`${id}.one`)) ? true : null)
  }).catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
}

/** What is in the archive was delivered; only what is not may be missing, and only of before. */
function assertNothingElse(
  trail: Trail,
  { acked, fresh }: { readonly acked: readonly string[]; readonly fresh: readonly string[] },
  context: TestContext,
): void {
  const archived = new Set(
    trail.rows.flatMap(({ topic, eventId }) => (topic.includes('.events.') ? [eventId] : [])),
  )
  const lost = acked.filter((id) => !archived.has(id))
  const received = new Set(trail.received.map((id) => id.slice(0, id.indexOf('.'))))
  assert.deepEqual(
    fresh.filter((id) => !archived.has(id) || !received.has(id)),
    [],
  )
  assert.deepEqual(
    acked.filter((id) => archived.has(id) && !received.has(id)),
    [],
  )
  context.diagnostic(`${countsText(trail)}, ${lost.length} lost with the database`)
}
