/**
 * A database that holds the log as well fails over to a copy that lagged, under processes that run: they see connections
 * break, and then an older log. They say what they wait for and go on by themselves; what was archived is neither lost
 * nor delivered again, and what only the lost server had is a signed loss.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { deliveredJobs, type ArchivedRow } from '../support/archive-reader.ts'
import { eventually, type Installation } from '../support/installation.ts'
import { untilAnswered, untilHealthSays } from '../support/outage.ts'
import { orSkip } from '../support/services/local-process.ts'
import type { SingleProcess } from '../support/single-process.ts'
import { openSize, type SharedSize } from '../support/sizes.ts'
import { countsText, openTrailStage, SETTLE_MS_MAX, type TrailStage } from '../support/trail-stage.ts'

const EVENTS = 40
const WHOLE_AGAIN = [/the job store is whole again/, /deliveries begin anew/]

test('processes outlive the failover of a database that holds the log to a copy that lagged', async (context) => {
  await outlive(context, [])
})

test('so do several dispatchers and archivers, each of which notices by itself', async (context) => {
  await outlive(context, ['dispatcher', 'archiver'])
})

/** @param kinds of processes beside one that is all of them */
async function outlive(context: TestContext, kinds: readonly string[]): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(context, openSize('Postgres and S3')))
  if (size === null) return
  await using stage = await openTrailStage(size)
  const trail = await stage.start()
  const others: SingleProcess[] = []
  for (const kind of kinds) others.push(await stage.startBeside(trail, kind))
  const running = { trail, others, stage }
  await keepCopy(running, size)

  const stop = new AbortController()
  const sending = stage.senders({ connections: 2, events: 1_000_000, pauseMs: 50, signal: stop.signal })
  opened.defer(() => {
    stop.abort()
  })
  const topicId = deliveriesId(stage.rows(trail))
  await untilMoreIsArchived(trail, stage)
  await failOver(trail, size)
  await untilWhole(running)
  await untilAnswered(sending, '200', 1)
  stop.abort()
  await sending.done
  const acked = stage.acked().length
  await send(stage)
  await untilDelivered(running, stage.acked().slice(acked))

  const lost = stage.rows(trail).filter((row) => row.topicId === topicId)
  const told = [...deliveredJobs(lost)]
  const sent = Map.groupBy(stage.received(), (line) => line.split(' ')[0] ?? '')
  assert.deepEqual(
    told.filter((job) => sent.get(job)?.length !== 1),
    [],
    'what the archive tells of the lost server as delivered was sent once',
  )
  const report = await trail.cli('report', '--url', trail.url)
  assert.match(report.stdout, /the sums agree/, report.stdout)
  for (const { child } of others) child.kill('SIGTERM')
  await Promise.all(others.map(({ exited }) => exited))
  const found = await stage.find(trail, report.code === 2 ? 2 : 0)
  const archived = found.rows.flatMap(({ topic, eventId }) => (topic.includes('.events.') ? [eventId] : []))
  const received = new Set(found.received.map((id) => id.split('.')[0]))
  assert.deepEqual(
    archived.filter((id) => id !== null && !received.has(id)),
    [],
    'all that the archive holds was delivered',
  )
  context.diagnostic(`${countsText(found)}, ${told.length} told before, report ${report.code}`)
}

interface Running {
  readonly stage: TrailStage
  readonly trail: Installation
  readonly others: readonly SingleProcess[]
}

function outputOf({ trail, others }: Running): string {
  return [trail, ...others].map(({ output }) => output()).join('\n')
}

function deliveriesId(rows: readonly ArchivedRow[]): string {
  const found = rows.find(({ topic }) => topic.endsWith('.deliveries'))
  assert.ok(found !== undefined, 'something was told')
  return found.topicId
}

async function keepCopy({ trail, stage }: Running, { servers: { postgres } }: SharedSize): Promise<void> {
  await send(stage)
  await stage.settle(trail)
  await postgres.kill('SIGKILL')
  await postgres.keepCopy()
  await postgres.restart()
}

async function send(stage: TrailStage): Promise<void> {
  await stage.senders({ connections: 4, events: EVENTS, pauseMs: 0 }).done
}

async function untilMoreIsArchived(trail: Installation, stage: TrailStage): Promise<void> {
  const old = deliveredJobs(stage.rows(trail)).size
  await eventually('deliveries behind the copy are archived', SETTLE_MS_MAX, () =>
    Promise.resolve(deliveredJobs(stage.rows(trail)).size >= old + EVENTS ? true : null),
  )
}

async function failOver(trail: Installation, { servers: { postgres } }: SharedSize): Promise<void> {
  await postgres.kill('SIGKILL')
  await postgres.putBack()
  await untilHealthSays(trail, /the database does not answer/i)
  await postgres.restart()
}

async function untilWhole(running: Running): Promise<void> {
  await eventually('the store travelled back, and deliveries begin anew', SETTLE_MS_MAX, () =>
    Promise.resolve(WHOLE_AGAIN.every((line) => line.test(outputOf(running))) ? true : null),
  ).catch((error: unknown) => {
    throw new Error(outputOf(running), { cause: error })
  })
}

async function untilDelivered(running: Running, ids: readonly string[]): Promise<void> {
  const { stage, trail } = running
  await eventually('what came later is delivered, and archived', SETTLE_MS_MAX, () => {
    const jobs = deliveredJobs(stage.rows(trail))
    return Promise.resolve(ids.every((id) => jobs.has(`${id}.one`)) ? true : null)
  }).catch((error: unknown) => {
    throw new Error(outputOf(running), { cause: error })
  })
}
