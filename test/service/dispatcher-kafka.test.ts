/** A dispatcher on a Kafka log: what Kafka's own tools learn of its handlers, and that planning needs none of it. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { KafkaEventLog } from '../../adapters/kafka/event-log.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AppendRecord, GroupPosition } from '../../core/ports/event-log.ts'
import { encodeEvent } from '../../core/record/encode-event.ts'
import type { Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import { GroupOffsets, type GroupOffsetsOptions } from '../../dispatcher/group-offsets.ts'
import { Lease } from '../../dispatcher/lease.ts'
import {
  completeEvent,
  openDispatcherStage,
  planAll,
  SOURCE,
  type DispatcherStage,
} from '../support/dispatcher-stage.ts'
import { HandClock } from '../support/hand-clock.ts'
import { openKafkaStage } from '../support/kafka-log.ts'
import { recordedLogger } from '../support/recorded-logger.ts'
import { kafkaOrReason } from '../support/services/kafka.ts'

const kafka = await kafkaOrReason()
const skip = typeof kafka === 'string' && kafka
if (typeof kafka !== 'string') after(() => kafka[Symbol.asyncDispose]())

const SIGNAL = new AbortController().signal

const STEP_MS_MAX = 60_000

interface Stages extends AsyncDisposable {
  readonly stage: DispatcherStage
  readonly log: KafkaEventLog
  readonly dispatcher: Dispatcher
  /** One more writer of offsets, whose commits go through `commit`. */
  groupOffsets(owner: string, overrides: Partial<GroupOffsetsOptions>): Promise<GroupOffsets>
  append(partition: number, count: number): Promise<void>
  /** By partition, as another client is told them. */
  offsetsOf(handler: string): Promise<Record<string, string>>
}

async function openStages(): Promise<Stages> {
  assert.ok(typeof kafka !== 'string')
  const stack = new AsyncDisposableStack()
  const broker = stack.use(await openKafkaStage(kafka.brokers))
  const handlers = ['app', 'billing']
  const stage = stack.use(
    await openDispatcherStage({
      ...{ handlers: handlers.map((name) => ({ name })), partitions: 2, kafka: broker },
    }),
  )
  const log = await broker.open()
  const { topicPrefix } = broker
  const deps = stage.deps()
  const dispatcher = await stage.compose({ groupOffsetLog: log })
  const topic = `${topicPrefix}.events.${SOURCE}`
  return {
    ...{ stage, log, dispatcher },
    groupOffsets: async (owner, overrides) => {
      const clock = overrides.clock ?? deps.clock
      const lease = new Lease({ store: stage.store, clock, owner, name: 'test' })
      return new GroupOffsets({
        ...{ ...deps, log, lease, topicPrefix, handlers, topics: await log.topics(), ...overrides },
      })
    },
    append: async (partition, count) => {
      const events = (await log.topics()).find(({ name }) => name === topic)
      assert.ok(events !== undefined)
      const records = Array.from({ length: count }, (_, n): AppendRecord => {
        const event = completeEvent({}, `${String(partition).padStart(25, '0')}${n}`)
        return { topic: events, partition, ...encodeEvent(event) }
      })
      await log.append(records)
    },
    offsetsOf: async (handler) => {
      const groupId = `${topicPrefix}.${handler}`
      const [offsets] = await broker.admin.fetchOffsets({ groupId, topics: [topic] })
      return Object.fromEntries(
        (offsets?.partitions ?? []).map(({ partition, offset }) => [partition, offset]),
      )
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** A broker that has had no group yet needs a moment for its first. */
async function untilFirst(stages: Stages, groupOffsets: GroupOffsets): Promise<void> {
  const signal = AbortSignal.timeout(STEP_MS_MAX)
  do {
    await groupOffsets.step(signal)
    signal.throwIfAborted()
  } while ((await stages.offsetsOf('billing'))['0'] === '-1')
}

test('Kafka’s own tools see where each handler stands, as far as it has come', { skip }, async () => {
  await using stages = await openStages()
  const { dispatcher } = stages
  const { groupOffsets } = dispatcher
  assert.ok(groupOffsets !== null)
  await stages.append(0, 3)
  await planAll(dispatcher)
  await untilFirst(stages, groupOffsets)
  for (const handler of ['app', 'billing'])
    assert.deepEqual(await stages.offsetsOf(handler), { 0: '3', 1: '0' })
  await stages.append(1, 2)
  dispatcher.backlog.planned('billing', 1_000_000)
  await planAll(dispatcher)
  await groupOffsets.step(SIGNAL)
  assert.deepEqual(await stages.offsetsOf('app'), { 0: '3', 1: '2' })
  assert.deepEqual(await stages.offsetsOf('billing'), { 0: '3', 1: '0' })
})

test('only what moved is written, by one dispatcher, and all of it again each hour', { skip }, async () => {
  await using stages = await openStages()
  const asked: string[] = []
  const clock = new HandClock()
  const log = {
    commitGroupOffsets: (group: string, positions: readonly GroupPosition[]) => {
      asked.push(`${group.split('.')[1] ?? ''} ${positions.length}`)
      return stages.log.commitGroupOffsets(group, positions)
    },
  }
  const one = await stages.groupOffsets('one', { log, clock })
  const two = await stages.groupOffsets('two', { log, clock })
  const steps = async (): Promise<readonly string[]> => {
    for (const each of [one, two]) await each.step(SIGNAL)
    return asked.splice(0).sort()
  }
  await untilFirst(stages, one)
  asked.length = 0
  assert.deepEqual(await steps(), [])
  await stages.append(1, 1)
  await planAll(stages.dispatcher)
  assert.deepEqual(await steps(), ['app 1', 'billing 1'])
  clock.advance(3_600_000)
  assert.deepEqual(await steps(), ['app 2', 'billing 2'])
})

test('a group that takes no offsets is told once, and the others get theirs', { skip }, async () => {
  await using stages = await openStages()
  const { logger, lines } = recordedLogger()
  let isRefused = true
  const log = {
    commitGroupOffsets: (group: string, positions: readonly GroupPosition[]) =>
      isRefused && group.endsWith('.app')
        ? Promise.reject(new HooktrailError('LOG_REFUSED', { reason: 'GROUP_AUTHORIZATION_FAILED' }))
        : stages.log.commitGroupOffsets(group, positions),
  }
  const groupOffsets = await stages.groupOffsets('one', { log, logger })
  const said = (): readonly string[] =>
    lines.filter(([, { group }]) => String(group).endsWith('.app')).map(([level]) => level)
  await untilFirst(stages, groupOffsets)
  for (let n = 0; n < 5; n++) await groupOffsets.step(SIGNAL)
  assert.deepEqual(said(), ['warn'])
  assert.deepEqual(await stages.offsetsOf('billing'), { 0: '0', 1: '0' })
  isRefused = false
  await groupOffsets.step(SIGNAL)
  assert.deepEqual(said(), ['warn', 'info'])
  assert.deepEqual(await stages.offsetsOf('app'), { 0: '0', 1: '0' })
})
