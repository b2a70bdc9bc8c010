/**
 * A database that holds the log as well fails over to a copy that lagged, under processes that run: they see connections
 * break, and then an older log. They say what they wait for and go on by themselves; what was archived is not lost, what
 * only the lost server had is a signed loss, and what comes later is delivered and archived.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deliveredJobs } from '../support/archive-reader.ts'
import { eventually, type Installation } from '../support/installation.ts'
import { untilAnswered, untilHealthSays } from '../support/outage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { openSize, type SharedSize } from '../support/sizes.ts'
import { countsText, openTrailStage, SETTLE_MS_MAX, type TrailStage } from '../support/trail-stage.ts'

const EVENTS = 40
const WHOLE_AGAIN = [/travelled back[^]*the job store is whole again/, /deliveries begin anew/]

test('processes outlive the failover of a database that holds the log to a copy that lagged', async (context) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(context, openSize('Postgres and S3')))
  if (size === null) return
  await using stage = await openTrailStage(size)
  const trail = await stage.start()
  await keepCopy(trail, size, stage)

  const stop = new AbortController()
  const sending = stage.senders({ connections: 2, events: 1_000_000, pauseMs: 50, signal: stop.signal })
  opened.defer(() => {
    stop.abort()
  })
  await untilMoreIsArchived(trail, stage)
  await failOver(trail, size)
  await untilWhole(trail)
  await untilAnswered(sending, '200', 1)
  stop.abort()
  await sending.done
  const acked = stage.acked().length
  await send(stage)
  await untilDelivered(trail, stage, stage.acked().slice(acked))

  const isLossSigned = trail.output().includes('the loss is signed')
  const found = await stage.find(trail, isLossSigned ? 2 : 0)
  const archived = found.rows.flatMap(({ topic, eventId }) => (topic.includes('.events.') ? [eventId] : []))
  const received = new Set(found.received.map((id) => id.split('.')[0]))
  assert.deepEqual(
    archived.filter((id) => id !== null && !received.has(id)),
    [],
    'all that the archive holds was delivered',
  )
  context.diagnostic(countsText(found))
})

async function keepCopy(trail: Installation, { servers: { postgres } }: SharedSize, stage: TrailStage) {
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
  await untilHealthSays(trail, /the database does not answer/)
  await postgres.restart()
}

async function untilWhole(trail: Installation): Promise<void> {
  await eventually('the store travelled back, and deliveries begin anew', SETTLE_MS_MAX, () =>
    Promise.resolve(WHOLE_AGAIN.every((line) => line.test(trail.output())) ? true : null),
  ).catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
}

async function untilDelivered(trail: Installation, stage: TrailStage, ids: readonly string[]): Promise<void> {
  await eventually('what came later is delivered, and archived', SETTLE_MS_MAX, () => {
    const jobs = deliveredJobs(stage.rows(trail))
    return Promise.resolve(ids.every((id) => jobs.has(`${id}.one`)) ? true : null)
  }).catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
}
