/**
 * A replay that is killed (-9, the whole group) in the middle. Goal: after a start it goes on by itself, delivers what its
 * dry run counted, each event once but for the requests that were open at the kill, and the report adds up. Method: the
 * receiver holds its answers from a quarter on, so that the kill always comes in the middle; live events come meanwhile.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { z } from 'zod'
import { untilReportAddsUp } from '../support/deliveries.ts'
import { eventually, type Installation } from '../support/installation.ts'
import type { ReceivedRequest, Receiver } from '../support/receiver.ts'
import { orSkip } from '../support/services/local-process.ts'
import { scale } from '../support/scale.ts'
import { openSize, type Size } from '../support/sizes.ts'
import { openTrailStage, SETTLE_MS_MAX } from '../support/trail-stage.ts'

const CONNECTIONS = 8
const LIVE_EVENTS = 50
/** Half of the handler's default concurrency: what can have been open at the kill. */
const OPEN_MAX = 10

const replaySchema = z.looseObject({
  id: z.string(),
  status: z.string(),
  planned: z.number(),
  delivered: z.number(),
})

function replayOf({ headers }: ReceivedRequest): string | null {
  const id = headers['x-hooktrail-replay']
  return typeof id === 'string' ? id : null
}

function replayedIds(receiver: Receiver): readonly string[] {
  return receiver.requests.flatMap((request) =>
    replayOf(request) === null ? [] : [String(request.headers['x-hooktrail-event-id'])],
  )
}

async function replay(trail: Installation, ...args: readonly string[]) {
  const { code, stdout, stderr } = await trail.cli('replay', ...args, '--json', '--url', trail.url)
  assert.equal(code, 0, stderr)
  return replaySchema.parse(JSON.parse(stdout))
}

/** From so many replayed requests on nothing is answered, until the returned function is called. */
function holdFrom(
  receiver: Receiver,
  count: number,
): { readonly held: Promise<void>; readonly release: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  let seen = 0
  let release = (): void => undefined
  receiver.script('/one', (_n, request) => {
    if (replayOf(request) !== null && ++seen === count) {
      release = receiver.hold('/one')
      resolve()
    }
    return 200
  })
  return {
    held: promise,
    release: () => {
      release()
    },
  }
}

async function killInTheMiddle(context: TestContext, size: Size): Promise<void> {
  await using stage = await openTrailStage(size)
  const { receiver } = stage
  const trail = await stage.start()
  const send = (events: number) => stage.senders({ connections: CONNECTIONS, events, pauseMs: 0 }).done
  const { 200: acked } = await send(scale.replayEvents)
  assert.equal(acked, scale.replayEvents)
  await stage.delivered()
  const dry = await replay(trail, '--handler', 'one', '--from-offset', '0', '--dry-run')
  assert.deepEqual([dry.status, dry.planned], ['counted', scale.replayEvents])

  const lines = await trail.cli(
    'replay',
    '--to',
    'stdout',
    '--source',
    'github',
    '--from-offset',
    '0',
    '--url',
    trail.url,
  )
  assert.deepEqual([lines.code, lines.stdout.split('\n').length - 1], [0, scale.replayEvents], lines.stderr)

  const { held, release } = holdFrom(receiver, scale.replayEvents / 4)
  await replay(trail, 'resume', dry.id)
  await held
  await send(LIVE_EVENTS)
  await trail.killGroup()
  release()

  const again = await stage.start()
  const done = await eventually(
    'the replay is completed',
    SETTLE_MS_MAX + scale.replayEvents * 10,
    async () => {
      const found = replaySchema.parse(await again.api(`/api/replays/${dry.id}`))
      return found.status === 'completed' ? found : null
    },
  ).catch((error: unknown) => {
    throw new Error(again.output(), { cause: error })
  })
  assert.deepEqual([done.planned, done.delivered], [dry.planned, dry.planned])
  const ids = replayedIds(receiver)
  const wanted = stage.acked().slice(0, scale.replayEvents)
  assert.deepEqual(new Set(ids), new Set(wanted))
  assert(ids.length - wanted.length <= OPEN_MAX, `${ids.length} requests for ${wanted.length} events`)
  await stage.delivered()
  assert(!again.output().includes('travelled back'), again.output())
  await untilReportAddsUp(() => again.cli('report', '--url', again.url), SETTLE_MS_MAX)
  context.diagnostic(`${wanted.length} events replayed by ${ids.length} requests`)
  assert.equal(await again.stop(), 0, again.output())
}

for (const name of ['one box', 'full'] as const)
  test(`a replay that was killed goes on and delivers what its dry run counted: ${name}`, async (context) => {
    await using opened = new AsyncDisposableStack()
    const size = opened.use(await orSkip(context, openSize(name)))
    if (size === null) return
    await killInTheMiddle(context, size)
  })
