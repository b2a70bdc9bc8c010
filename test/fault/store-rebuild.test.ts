/**
 * The database of one box is gone, and the log with it; a replay lies in its past. Goal: `store rebuild` brings back from
 * the archive alone what was archived, nothing is sent again, live or replayed, and the report adds up from then on.
 */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { untilReportAddsUp } from '../support/deliveries.ts'
import { eventually, type Installation } from '../support/installation.ts'
import { openSize } from '../support/sizes.ts'
import { orSkip } from '../support/services/local-process.ts'
import { countsText, openTrailStage, SETTLE_MS_MAX, type TrailStage } from '../support/trail-stage.ts'

const EVENTS = 30

const replaySchema = z.looseObject({ id: z.string(), status: z.string(), delivered: z.number() })

test('a store that is rebuilt from the archive has what was replayed, and sends nothing again', async (context) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(context, openSize('one box')))
  if (size === null) return
  await using stage = await openTrailStage(size)
  const first = await stage.start()
  await send(stage)
  await stage.settle(first)
  const replayed = await replayAll(first)
  await untilReportAddsUp(() => first.cli('report', '--url', first.url), SETTLE_MS_MAX)
  await untilTold(stage, first, replayed)
  assert.equal(await first.stop(), 0, first.output())
  const sent = stage.received().length
  assert.equal(sent, 2 * EVENTS)

  await rm(join(first.home, 'postgres'), { recursive: true })
  const rebuilt = await first.cli('store', 'rebuild', '-c', first.configFile)
  assert.equal(rebuilt.code, 0, rebuilt.stdout + rebuilt.stderr)
  const second = await stage.start()
  await untilReportAddsUp(() => second.cli('report', '--url', second.url), SETTLE_MS_MAX)
  await send(stage)
  await stage.settle(second)
  assert.equal(stage.received().length, sent + EVENTS)
  const found = await stage.find(second)
  context.diagnostic(countsText(found))
})

async function send(stage: TrailStage): Promise<void> {
  await stage.senders({ connections: 4, events: EVENTS, pauseMs: 0 }).done
}

/** @returns its id, when it is completed */
async function replayAll(trail: Installation): Promise<string> {
  const args = ['replay', '--handler', 'one', '--from-offset', '0', '--json', '--url', trail.url]
  const { code, stdout, stderr } = await trail.cli(...args)
  assert.equal(code, 0, stderr)
  const { id } = replaySchema.parse(JSON.parse(stdout))
  await eventually('the replay is completed', SETTLE_MS_MAX, async () => {
    const { status, delivered } = replaySchema.parse(await trail.api(`/api/replays/${id}`))
    return status === 'completed' && delivered === EVENTS ? true : null
  })
  return id
}

/** Its attempts, and that it is over. */
async function untilTold(stage: TrailStage, trail: Installation, id: string): Promise<void> {
  await eventually('the archive tells of the replay', SETTLE_MS_MAX, () => {
    const told = stage.rows(trail).flatMap(({ value }) => (value?.includes(id) === true ? [value] : []))
    const attempts = told.filter((value) => value.includes('"attempt"'))
    const ends = told.filter((value) => value.includes('replay.completed'))
    return Promise.resolve(attempts.length >= EVENTS && ends.length > 0 ? true : null)
  })
}
