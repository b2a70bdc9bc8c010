/**
 * A replay into a topic that is killed (-9, the whole group) in the middle. Goal: after a start it goes on by itself, every
 * record is in the topic, and no more than one step of them twice. Method: a rate makes it slow enough to be met half-way.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { untilReportAddsUp } from '../support/deliveries.ts'
import { eventIdOf, makeForeignTopic, recordsOf } from '../support/foreign-topic.ts'
import { eventually } from '../support/installation.ts'
import { openKafkaStage } from '../support/kafka-log.ts'
import { orSkip } from '../support/services/local-process.ts'
import { openSize } from '../support/sizes.ts'
import { openTrailStage, SETTLE_MS_MAX } from '../support/trail-stage.ts'

const EVENTS = 150
/** A step is a second's worth of the rate. */
const RATE = 50
const TOPIC = 'lake'

const replaySchema = z.looseObject({ id: z.string(), status: z.string(), delivered: z.number() })

test('a replay into a topic that was killed goes on, and repeats no more than one step', async (context) => {
  await using opened = new AsyncDisposableStack()
  const size = opened.use(await orSkip(context, openSize('full')))
  if (size === null) return
  await using stage = await openTrailStage(size)
  const trail = await stage.start()
  await stage.senders({ connections: 8, events: EVENTS, pauseMs: 0 }).done
  await stage.delivered()
  const broker = opened.use(await openKafkaStage(size.servers.kafka.brokers))
  const log = await broker.open()
  const topic = await makeForeignTopic({ admin: broker.admin, log }, TOPIC, 2)
  const asked = ['--source', 'github', '--from-offset', '0', '--json', '--url', trail.url]
  const own = await trail.cli('replay', '--to-topic', 'hooktrail.events.github', ...asked)
  assert.notEqual(own.code, 0)
  assert.match(own.stderr, /REPLAY_TOPIC_REFUSED/)
  const made = await trail.cli('replay', '--to-topic', TOPIC, '--rate', `${RATE}/s`, ...asked)
  assert.equal(made.code, 0, made.stderr)
  const { id } = replaySchema.parse(JSON.parse(made.stdout))
  await eventually('some of it is written', SETTLE_MS_MAX, async () =>
    (await recordsOf(log, topic)).length > 0 ? true : null,
  )
  await trail.killGroup()

  const again = await stage.start()
  const done = await eventually('the replay is completed', SETTLE_MS_MAX, async () => {
    const found = replaySchema.parse(await again.api(`/api/replays/${id}`))
    return found.status === 'completed' ? found : null
  }).catch((error: unknown) => {
    throw new Error(again.output(), { cause: error })
  })
  assert.equal(done.delivered, EVENTS)
  const ids = (await recordsOf(log, topic)).map(eventIdOf)
  assert.deepEqual(new Set(ids), new Set(stage.acked()))
  assert.ok(ids.length - EVENTS <= RATE, `${ids.length} records for ${EVENTS} events`)
  await untilReportAddsUp(() => again.cli('report', '--url', again.url), SETTLE_MS_MAX)
  context.diagnostic(`${EVENTS} events replayed by ${ids.length} records`)
  assert.equal(await again.stop(), 0, again.output())
})
