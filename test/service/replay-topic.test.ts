/**
 * Replays into a topic that is none of hooktrail's: records come as they were, with where they lay; what a crash repeats is
 * one step, and nothing is written after the answer to a pause or cancel.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { KafkaEventLog } from '../../adapters/kafka/event-log.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Topic } from '../../core/ports/event-log.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { NewReplay, ReplayAction, ReplayView } from '../../core/ports/replay-store.ts'
import { encodeEvent } from '../../core/record/encode-event.ts'
import { partitionFor } from '../../core/record/partitioner.ts'
import type { Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import {
  completeEvent,
  openDispatcherStage,
  planAll,
  SOURCE,
  type DispatcherStage,
} from '../support/dispatcher-stage.ts'
import { eventIdOf, makeForeignTopic, recordsOf, type ForeignRecord } from '../support/foreign-topic.ts'
import { HandClock } from '../support/hand-clock.ts'
import { openReplayStage } from '../support/replay-stage.ts'
import { openKafkaStage } from '../support/kafka-log.ts'
import { kafkaOrReason } from '../support/services/kafka.ts'

const kafka = await kafkaOrReason()
const skip = typeof kafka === 'string' && kafka
if (typeof kafka !== 'string') after(() => kafka[Symbol.asyncDispose]())

const ID = '01J00000000000000000000001'
const SIGNAL = new AbortController().signal
const STEPS_MAX = 200
const PARTITIONS = 3

interface Stage extends AsyncDisposable {
  readonly stage: DispatcherStage
  readonly log: KafkaEventLog
  readonly target: Topic
  compose(store?: JobStore, clock?: HandClock): Promise<Dispatcher>
  create(more?: Partial<NewReplay>): Promise<void>
  act(action: ReplayAction): Promise<string>
  view(): Promise<ReplayView>
  /** What lies in the target, in the order of its partitions. */
  written(): Promise<readonly ForeignRecord[]>
}

/** So many events, each with a key of its own, planned live. */
async function openStage(events: number): Promise<Stage> {
  assert.ok(typeof kafka !== 'string')
  const stack = new AsyncDisposableStack()
  const broker = stack.use(await openKafkaStage(kafka.brokers))
  const stage = stack.use(
    await openDispatcherStage({ handlers: [{ name: 'billing' }], partitions: 2, kafka: broker }),
  )
  const log = await broker.open()
  const name = `lake-${broker.topicPrefix}`
  const target = await makeForeignTopic({ admin: broker.admin, log }, name, PARTITIONS)
  const dispatcher = await stage.compose()
  const topic = (await log.topics()).find((each) => each.name === `${broker.topicPrefix}.events.${SOURCE}`)
  assert.ok(topic !== undefined)
  await log.append(
    Array.from({ length: events }, (_, n) => {
      const event = completeEvent({ dedupKey: `key-${n}` }, String(n).padStart(26, '0'))
      return { topic, partition: n % 2, ...encodeEvent(event) }
    }),
  )
  await planAll(dispatcher)
  const audit = { actor: 'ada', action: 'replay.create', target: ID, reason: null, details: {} }
  const ends = await Promise.all(
    [0, 1].map((partition) => log.bounds({ topic: topic.name, topicId: topic.id, partition })),
  )
  return {
    ...{ stage, log, target },
    compose: (store = stage.store, clock) =>
      stage.compose({ store, foreignLog: log, ...(clock === undefined ? {} : { clock }) }),
    create: async (more) => {
      const made = await stage.store.createReplay({
        ...{ replayId: ID, handler: '', toTopic: name, source: SOURCE, topic: topic.name, filter: null },
        ...{ eventIds: null, perSecond: null, asked: {}, isDryRun: false, audit },
        ranges: ends.map(({ highWatermark: end }, partition) => ({
          ...{ topicId: topic.id, partition, first: 0n, end },
        })),
        ...more,
      })
      assert.equal(made, 'created')
    },
    act: (action) => stage.store.changeReplay(ID, action, { ...audit, action: `replay.${action}` }),
    view: async () => {
      const view = await stage.store.getReplay(ID)
      assert.ok(view !== null)
      return view
    },
    written: () => recordsOf(log, target),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Steps until the store shows the status. */
async function runTo(
  stage: Stage,
  { replays }: Dispatcher,
  status: ReplayView['status'],
): Promise<ReplayView> {
  for (let n = 0; n < STEPS_MAX; n++) {
    await replays.look()
    const view = await stage.view()
    if (view.status === status) return view
    await replays.step(SIGNAL)
  }
  throw new Error(`the replay never was ${status}: ${(await stage.view()).status}`)
}

test(
  'records reach the topic as they were, once, with the replay and the place they lay at',
  { skip },
  async () => {
    await using stage = await openStage(20)
    const dispatcher = await stage.compose()
    await stage.create({ isDryRun: true, filter: 'event.id != "00000000000000000000000003"' })
    const counted = await runTo(stage, dispatcher, 'counted')
    assert.deepEqual([counted.counts.planned, counted.counts.filtered, counted.delivered], [19, 1, 0])
    assert.deepEqual(await stage.written(), [])
    assert.equal(await stage.act('resume'), 'changed')
    const done = await runTo(stage, dispatcher, 'completed')
    assert.deepEqual([done.counts.planned, done.delivered, done.open, done.dead], [19, 19, 0, 0])
    const written = await stage.written()
    assert.equal(new Set(written.map(eventIdOf)).size, 19)
    assert.equal(written.length, 19)
    for (const { key, value, headers, partition } of written) {
      assert.ok(key !== null && value !== null)
      assert.equal(partition, partitionFor(key, PARTITIONS))
      const own = headers.slice(-2).map(({ name, value: text }) => [name, String(text)])
      assert.deepEqual(own[0], ['ht_replay', ID])
      const [topic, topicId = '', from, offset] = own[1]?.[1]?.split('/') ?? []
      const original = await stage.log.read({
        ...{ topic: String(topic), topicId, partition: Number(from), from: BigInt(String(offset)) },
        ...{ recordsMax: 1, bytesMax: 1, waitMsMax: 1_000 },
      })
      const [record] = original.records
      assert.deepEqual([record?.key, record?.value, record?.headers], [key, value, headers.slice(0, -2)])
    }
    const own = `${stage.stage.config.log.topicPrefix}.events.${SOURCE}`
    assert.equal(await stage.log.foreignTopic(own), null)
    assert.equal(await stage.log.foreignTopic('lake-that-nobody-made'), null)
  },
)

test(
  'a crash between append and commit repeats one step; a pause and a cancel let nothing through',
  { skip },
  async () => {
    await using stage = await openStage(40)
    await stage.create({ perSecond: 5 })
    const { store } = stage.stage
    let crashes = 1
    const crashing: JobStore = {
      ...store,
      commitReplayStep: (request, decide, publish) =>
        store.commitReplayStep(request, decide, async (decision) => {
          await publish?.(decision)
          if (crashes-- > 0) throw new HooktrailError('STORE_UNAVAILABLE', { reason: 'killed' })
        }),
    }
    const clock = new HandClock()
    const first = await stage.compose(crashing, clock)
    await first.replays.step(SIGNAL)
    assert.equal((await stage.written()).length, 5, 'a second of the rate, and no more before it has passed')
    assert.equal((await stage.view()).delivered, 0)
    assert.equal(await stage.act('pause'), 'changed')
    clock.advance(10_000)
    await first.replays.step(SIGNAL)
    assert.equal((await stage.written()).length, 5)
    assert.equal(await stage.act('resume'), 'changed')
    await first.close()

    const second = await stage.compose(store, clock)
    for (let n = 0; n < STEPS_MAX && (await stage.view()).status === 'running'; n++) {
      await second.replays.step(SIGNAL)
      clock.advance(1_000)
    }
    const done = await stage.view()
    assert.deepEqual([done.status, done.delivered], ['completed', 40])
    const ids = (await stage.written()).map(eventIdOf)
    assert.deepEqual([new Set(ids).size, ids.length], [40, 45])

    await stage.create({ replayId: ID.replace('1J', '1K') })
    const cancel = { actor: 'ada', action: 'replay.cancel', target: 'x', reason: null, details: {} }
    assert.equal(await store.changeReplay(ID.replace('1J', '1K'), 'cancel', cancel), 'changed')
    clock.advance(10_000)
    await second.replays.step(SIGNAL)
    assert.equal((await stage.written()).length, 45)
  },
)

test('a log in Postgres has no topics for others, and says so', async () => {
  await using stage = await openReplayStage({ handlers: [{ name: 'billing' }] })
  const body = { to_topic: 'lake', source: SOURCE, from_offset: 0 }
  const answer = await stage.api.ask('/api/replays', { method: 'POST', body })
  assert.deepEqual([answer.status, answer.json()['code']], [400, 'REPLAY_TOPIC_REFUSED'])
  const both = await stage.api.ask('/api/replays', { method: 'POST', body: { ...body, handler: 'billing' } })
  assert.equal(both.json()['code'], 'API_INVALID_REQUEST')
})
