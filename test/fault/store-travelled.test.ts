/**
 * The job store's Postgres is put back to an older copy of its folder, while the log goes on in Kafka: once under running
 * processes, which only see connections break, and once between two starts. Nothing that was acknowledged is lost, and
 * no job of which the log tells that it was delivered is delivered again.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { eventually, type Installation } from '../support/installation.ts'
import { untilAnswered } from '../support/outage.ts'
import { orSkip } from '../support/services/local-process.ts'
import { openSize, type FullSize } from '../support/sizes.ts'
import { checkTrail, type Trail } from '../support/trail-check.ts'
import { countsText, openTrailStage, SETTLE_MS_MAX, type TrailStage } from '../support/trail-stage.ts'

const EVENTS_BEFORE = 100
const EVENTS_MEANWHILE = 100
const WHOLE_AGAIN = /the job store has travelled back[^]*the job store is whole again/
/** Its job was sent again: excused where the log never told of the first outcome. */
const SENT_AGAIN = /^\S+ was sent \d+ times without a reason$/

test('a job store that is put back under load is made whole from Kafka, and so it is at the next start', async (context) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(context, openSize('full')))
  if (size === null) return
  await using stage = await openTrailStage(size)
  const first = await stage.start()
  await keepCopy(first, size, stage)
  await putBackUnderLoad(size, stage)
  await untilWhole(first)
  await stage.settle(first)
  assert.equal(await first.stop(), 0, first.output())

  const { postgres } = size.servers
  await postgres.kill('SIGKILL')
  await postgres.putBack()
  await postgres.restart()
  const second = await stage.start()
  await untilWhole(second)
  await stage.settle(second)
  assertWhole(await stage.find(second), context)
})

async function keepCopy(trail: Installation, { servers }: FullSize, stage: TrailStage): Promise<void> {
  await stage.senders({ connections: 4, events: EVENTS_BEFORE, pauseMs: 0 }).done
  await stage.settle(trail)
  await servers.postgres.kill('SIGKILL')
  await servers.postgres.keepCopy()
  await servers.postgres.restart()
}

async function putBackUnderLoad({ servers }: FullSize, stage: TrailStage): Promise<void> {
  const stop = new AbortController()
  const sending = stage.senders({ connections: 8, events: 1_000_000, pauseMs: 20, signal: stop.signal })
  await untilAnswered(sending, '200', EVENTS_MEANWHILE)
  await stage.delivered()
  await servers.postgres.kill('SIGKILL')
  await servers.postgres.putBack()
  await servers.postgres.restart()
  await untilAnswered(sending, '200', EVENTS_MEANWHILE)
  stop.abort()
  await sending.done
}

async function untilWhole(trail: Installation): Promise<void> {
  await eventually('the job store travelled back, and is whole again', SETTLE_MS_MAX, () =>
    Promise.resolve(WHOLE_AGAIN.test(trail.output()) ? true : null),
  ).catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
}

function assertWhole(trail: Trail, context: TestContext): void {
  const wrong = checkTrail(trail)
  assert.deepEqual(
    wrong.filter((line) => !SENT_AGAIN.test(line)),
    [],
  )
  assert.deepEqual(deliveredTwice(trail), [])
  context.diagnostic(`${countsText(trail)}, ${wrong.length} sent again whose outcome was never told`)
}

/** Jobs that were delivered although the log told that they had been. */
function deliveredTwice({ rows }: Trail): readonly string[] {
  const completed = new Map<string, Set<string>>()
  for (const { topic, value } of rows) {
    if (!topic.endsWith('.deliveries')) continue
    const row = JSON.parse(value ?? '{}') as Readonly<Record<string, unknown>>
    if (row['kind'] !== 'attempt' || row['next_state'] !== 'completed') continue
    const job = String(row['job_id'])
    completed.set(job, (completed.get(job) ?? new Set()).add(String(row['id'])))
  }
  return [...completed].flatMap(([job, ids]) => (ids.size > 1 ? [job] : []))
}
