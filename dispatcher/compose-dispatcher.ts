/** Puts the dispatcher's parts together: topics and positions first, then one planner per partition and one runner per handler. */
import assert from 'node:assert/strict'
import type { Config, SourceConfig } from '../core/config/config.ts'
import { SendRate } from '../core/delivery/send-rate.ts'
import { keysOf } from '../core/delivery/signing-key.ts'
import { auditTopic, deliveriesTopic } from '../core/topics.ts'
import type { Backlog } from './backlog.ts'
import { Breakers } from './breakers.ts'
import type { ComposeDeps } from './dispatcher-deps.ts'
import {
  closeParts,
  compiledOf,
  handlerSender,
  handlersOf,
  newLease,
  prepareParts,
  takesOf,
  topicOf,
  type DispatcherParts,
} from './dispatcher-parts.ts'
import type { FailingHandlers } from './failing-handlers.ts'
import { firstSeenMs } from './first-sights.ts'
import { GroupOffsets } from './group-offsets.ts'
import { HandlerLags } from './handler-lags.ts'
import { HandlerRunner } from './handler-runner.ts'
import { HourlyNotice } from './hourly-notice.ts'
import { JobDelivery } from './job-delivery.ts'
import { JobReturner } from './job-returner.ts'
import { Lease } from './lease.ts'
import type { Loop } from './loop.ts'
import { OutcomeWriter } from './outcome-writer.ts'
import { PartitionPlanner } from './partition-planner.ts'
import { Pump } from './pump.ts'
import { Relay } from './relay.ts'
import { RelayNotes } from './relay-notes.ts'
import { ReplayDesk } from './replay-desk.ts'
import { RetriedFilter } from './retried-filter.ts'
import { Serving } from './serving.ts'
import { shareConcurrency } from './share-concurrency.ts'
import { watchTopics } from './topic-watch.ts'
import { reapRun, slicesStep } from './upkeep.ts'

export interface Dispatcher {
  readonly loops: readonly Loop[]
  readonly planners: readonly PartitionPlanner[]
  readonly runners: readonly HandlerRunner[]
  readonly relay: Relay
  /** Only for a queue that keeps hints of its own. */
  readonly pump: Pump | null
  /** Only on Kafka. */
  readonly groupOffsets: GroupOffsets | null
  readonly backlog: Backlog
  readonly failing: FailingHandlers
  readonly breakers: Breakers
  readonly serving: Serving
  readonly replays: ReplayDesk
  /** Rejects when an invariant is broken outside a loop. */
  readonly broken: Promise<never>
  close(): Promise<void>
}

/** One line names them; more would be none. */
const NAMED_MAX = 20

/** @throws what log and store throw while they are away; composing again is harmless. */
export async function composeDispatcher(config: Config, deps: ComposeDeps): Promise<Dispatcher> {
  const parts = await prepareParts(config, deps)
  const { backlog, failing } = parts
  const planners = config.sources.flatMap((source) => sourcePlanners(source, parts))
  const broken = Promise.withResolvers<never>()
  const runners = handlerRunners(parts, broken.reject)
  const byName = new Map(runners.map((runner) => [runner.handler, runner]))
  const serving = new Serving({
    ...{ ...deps, handlers: config.handlers, concurrencyMax: config.worker.concurrencyMax },
    runners: byName,
  })
  const breakers = new Breakers({
    ...{ ...deps, endpoints: parts.endpoints, fruitless: parts.fruitless, runners: byName },
    concurrency: new Map(config.handlers.map(({ name, concurrency }) => [name, concurrency])),
  })
  const notes = new RelayNotes({ doubt: () => undefined, ...deps })
  const relay = createRelay(parts, notes)
  const replays = new ReplayDesk({
    ...{ ...deps, ...parts },
    newLease: (name) => new Lease({ ...deps, name }),
  })
  const { queue } = deps
  const pump = queue.driver === 'redis' ? new Pump({ ...deps, queue, handlers: parts.served }) : null
  const groupOffsets = createGroupOffsets(parts)
  // Before anything is taken: from its first request on it has no more than its share.
  await serving.step()
  sayServed(parts)
  const built = { planners, runners, relay, pump, groupOffsets, backlog, failing, breakers, serving, replays }
  return {
    ...built,
    broken: broken.promise,
    loops: [...workLoops(built), ...upkeepLoops(parts), { name: 'notes', step: () => notes.step() }],
    close: () => closeParts(parts, { breakers, ending: [serving, replays] }),
  }
}

type Built = Omit<Dispatcher, 'loops' | 'broken' | 'close'>

function workLoops(built: Built): readonly Loop[] {
  const { planners, runners, relay, pump, groupOffsets, backlog, failing, breakers, serving, replays } = built
  return [
    { name: 'backlog', step: () => backlog.step() },
    ...[...planners, ...runners].map((part) => ({
      name: part.name,
      step: (signal: AbortSignal) => part.run(signal),
    })),
    { name: 'serve', step: () => serving.step() },
    { name: 'breakers', step: (signal) => breakers.step(signal) },
    { name: 'failing', step: () => Promise.resolve(failing.step()) },
    { name: 'relay', step: () => relay.run() },
    { name: 'replays', step: (signal) => replays.step(signal) },
    ...(pump === null ? [] : [{ name: 'pump', step: () => pump.run() }]),
    ...(groupOffsets === null
      ? []
      : [{ name: 'group offsets', step: (signal: AbortSignal) => groupOffsets.step(signal) }]),
  ]
}

function upkeepLoops(parts: DispatcherParts): readonly Loop[] {
  const { config, deps } = parts
  const sights = {
    ...deps,
    topics: config.sources.map((source) => topicOf(parts, source)),
    handlers: config.handlers.map(({ name }) => name),
    retentionMs: config.log.retentionMs,
    windowMs: Math.max(0, ...config.sources.map(({ dedup }) => dedup.windowMs)),
  }
  const upkeep = { ...deps, worker: config.worker, firstSeenMs: () => firstSeenMs(sights) }
  return [
    { name: 'reap', step: () => reapRun(upkeep) },
    { name: 'slices', step: () => slicesStep(upkeep) },
    { name: 'topics', step: () => watchTopics({ ...deps, topics: parts.topics.values() }) },
  ]
}

/** What waits for other dispatchers; whether there are any, the alarm of serving.ts tells. */
function sayServed({ config, deps, served }: DispatcherParts): void {
  if (served.length === config.handlers.length) return
  const names = served.slice(0, NAMED_MAX).map(({ name }) => name)
  const fields = { serves: names, handlers: served.length, of: config.handlers.length }
  if (served.length > 0) deps.logger.info(fields, 'this dispatcher serves some of the handlers')
  else deps.logger.warn(fields, 'this dispatcher serves no handler: none is in the pool default; see --pool')
}

function sourcePlanners(source: SourceConfig, parts: DispatcherParts): PartitionPlanner[] {
  const { config, deps, backlog, payloads, bodyDigest } = parts
  const topic = topicOf(parts, source)
  const handlers = handlersOf(config, source).map((handler) => compiledOf(parts, handler))
  const served = new Set(parts.served.map(({ name }) => name))
  const lags = new HandlerLags(deps.metrics, config.log.retentionMs)
  const filterErrors = new HourlyNotice(deps.clock)
  return Array.from({ length: topic.partitions }, (_, partition) => {
    const at = { topic: topic.name, topicId: topic.id, partition }
    return new PartitionPlanner({
      ...deps,
      at,
      source,
      handlers,
      served,
      eventTtlMs: config.delivery.eventTtlMs,
      generation: config.generation,
      bodyDigest,
      lease: newLease(parts, `plan/${topic.id}/${partition}`),
      backlog,
      payloads,
      filterErrors,
      lags,
    })
  })
}

function handlerRunners(parts: DispatcherParts, broken: (error: unknown) => void): HandlerRunner[] {
  const { config, deps, served, backlog, failing, fruitless, endpoints, payloads, transforms, bodyDigest } =
    parts
  const shares = shareConcurrency(served, config.worker.concurrencyMax)
  const outcomes = new OutcomeWriter(deps)
  const returner = new JobReturner(deps)
  const expressionErrors = new HourlyNotice(deps.clock)
  const { generation } = config
  return served.map((handler) => {
    const concurrency = shares.get(handler.name) ?? 1
    const rate = new SendRate(handler.ratePerSecond)
    const sender = handlerSender(handler, parts)
    const delivery = new JobDelivery({
      ...deps,
      ...{ handler, generation, sender, payloads, transforms, expressionErrors, outcomes, returner },
      retriedFilter: new RetriedFilter({ ...deps, planned: compiledOf(parts, handler) }),
      ...{ backlog, failing, fruitless, endpoints, rate, bodyDigest },
      bytesKept: config.delivery.responseBytesKept,
      keys: keysOf(handler, config.delivery),
    })
    const replays = takesOf(parts, handler)
    return new HandlerRunner({
      ...{ ...deps, handler, concurrency, rate, generation, delivery, replays, broken },
    })
  })
}

function createRelay(parts: DispatcherParts, notes: RelayNotes): Relay {
  const { config, deps, topics } = parts
  const deliveries = topics.get(deliveriesTopic(config.log.topicPrefix))
  const audit = topics.get(auditTopic(config.log.topicPrefix))
  assert(
    deliveries !== undefined && audit !== undefined,
    'ensureTopics returns every topic that was asked for',
  )
  return new Relay({ ...deps, deliveries, audit, notes, lease: newLease(parts, 'relay') })
}

function createGroupOffsets(parts: DispatcherParts): GroupOffsets | null {
  const { config, deps, topics } = parts
  const { groupOffsetLog } = deps
  if (groupOffsetLog === undefined) return null
  return new GroupOffsets({
    ...deps,
    log: groupOffsetLog,
    lease: newLease(parts, 'group-offsets'),
    topicPrefix: config.log.topicPrefix,
    topics: [...topics.values()],
    handlers: config.handlers.map(({ name }) => name),
  })
}
