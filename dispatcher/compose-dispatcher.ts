/** Puts the dispatcher's parts together: topics and positions first, then one planner per partition and one runner per handler. */
import assert from 'node:assert/strict'
import { createSender } from '../adapters/http/send.ts'
import type { Clock } from '../core/clock.ts'
import type { Config, HandlerConfig, SourceConfig } from '../core/config/config.ts'
import { SendRate } from '../core/delivery/send-rate.ts'
import { keysOf } from '../core/delivery/signing-key.ts'
import type { Demand } from '../core/demand.ts'
import type { Logger } from '../core/log.ts'
import type { Sender } from '../core/delivery/sender.ts'
import { compileHandler, type PlanHandler } from '../core/plan/plan-handler.ts'
import type { EventLog, ForeignTopicLog, GroupOffsetLog, Topic } from '../core/ports/event-log.ts'
import type { JobQueue } from '../core/ports/job-queue.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { createBodyDigest, createDigestKey } from '../core/record/keyed-digest.ts'
import { auditTopic, deliveriesTopic, eventTopic, topicSpecs } from '../core/topics.ts'
import { Backlog } from './backlog.ts'
import { Breakers } from './breakers.ts'
import { EndpointHealth } from './endpoint-health.ts'
import { FailingHandlers } from './failing-handlers.ts'
import { FruitlessHandlers } from './fruitless-handlers.ts'
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
import { PayloadCache } from './payload-cache.ts'
import { Pump } from './pump.ts'
import { registerHandlers } from './register-handlers.ts'
import { warnOfRemoved } from './removed-handlers.ts'
import { Relay } from './relay.ts'
import { RelayNotes } from './relay-notes.ts'
import { ReplayDesk } from './replay-desk.ts'
import { ReplayTakes } from './replay-takes.ts'
import { RetriedFilter } from './retried-filter.ts'
import { Serving } from './serving.ts'
import { shareConcurrency } from './share-concurrency.ts'
import { watchTopics } from './topic-watch.ts'
import { Transforms } from './transforms.ts'
import { reapRun, slicesStep } from './upkeep.ts'
import type { WaitList } from './wait-list.ts'

export interface DispatcherDeps {
  /** Log and archive as one: backlogs and payloads outlive the log's retention. */
  readonly log: EventLog
  /** Absent where the log is not Kafka. */
  readonly groupOffsetLog?: GroupOffsetLog
  readonly foreignLog?: ForeignTopicLog
  readonly store: JobStore
  readonly queue: JobQueue
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly digestKey: string
  /** Handlers that are taken and sent here; absent: all. Planned is for all of them in any case. */
  readonly serves?: ReadonlySet<string>
  /** In [0, 1); for jitter. */
  readonly random?: () => number
  /** Of a handler, and of a planning step; default: those of backlog.ts and partition-planner.ts. */
  readonly openJobsMax?: number
  readonly stepRecordsMax?: number
  /** Told when a take got all that it asked for. */
  readonly demand?: Pick<Demand, 'note'>
  /** Names the server that the store answers from; absent: there is but one. */
  readonly server?: () => string | null
  /** Told when the log may tell of what the store does not hold (store-guard.ts). */
  readonly doubt?: () => void
  /** Of the store, when a stop does not wait for it any more. */
  readonly abandoned?: AbortSignal
}

export interface ComposeDeps extends DispatcherDeps {
  readonly random: () => number
  /** Who holds leases: this process. */
  readonly owner: string
  readonly waits: WaitList
  readonly giveUp: AbortSignal
  /** Topics have got other ids. */
  readonly renew: () => void
}

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

interface Parts {
  readonly config: Config
  readonly deps: ComposeDeps
  /** Of the configuration, those that are taken and sent here. */
  readonly served: readonly HandlerConfig[]
  /** By name, of all: patterns and filters are compiled once. */
  readonly compiled: ReadonlyMap<string, PlanHandler>
  readonly topics: ReadonlyMap<string, Topic>
  readonly backlog: Backlog
  readonly failing: FailingHandlers
  readonly fruitless: FruitlessHandlers
  readonly endpoints: EndpointHealth
  readonly payloads: PayloadCache
  /** By handler, of those that are sent here. */
  readonly takes: ReadonlyMap<string, ReplayTakes>
  readonly transforms: Transforms
  readonly bodyDigest: (body: Buffer) => Buffer
  readonly leases: Lease[]
  readonly senders: Sender[]
}

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
  const windowMs = Math.max(0, ...config.sources.map(({ dedup }) => dedup.windowMs))
  const sights = {
    ...deps,
    topics: config.sources.map((source) => topicOf(parts, source)),
    handlers: config.handlers.map(({ name }) => name),
    ...{ retentionMs: config.log.retentionMs, windowMs },
  }
  const upkeep = { ...deps, worker: config.worker, firstSeenMs: () => firstSeenMs(sights) }
  // Before anything is taken: from its first request on it has no more than its share.
  await serving.step()
  sayServed(parts)
  return {
    ...{ planners, runners, relay, pump, groupOffsets, backlog, failing, breakers, serving, replays },
    broken: broken.promise,
    loops: [
      { name: 'backlog', step: () => backlog.step() },
      ...planners.map((planner) => ({
        name: planner.name,
        step: (signal: AbortSignal) => planner.run(signal),
      })),
      ...runners.map((runner) => ({
        name: runner.name,
        step: (signal: AbortSignal) => runner.run(signal),
      })),
      { name: 'serve', step: () => serving.step() },
      { name: 'breakers', step: (signal: AbortSignal) => breakers.step(signal) },
      { name: 'failing', step: () => Promise.resolve(failing.step()) },
      { name: 'relay', step: () => relay.run() },
      { name: 'notes', step: () => notes.step() },
      { name: 'replays', step: (signal) => replays.step(signal) },
      ...(pump === null ? [] : [{ name: 'pump', step: () => pump.run() }]),
      ...(groupOffsets === null
        ? []
        : [{ name: 'group offsets', step: (signal: AbortSignal) => groupOffsets.step(signal) }]),
      { name: 'reap', step: () => reapRun(upkeep) },
      { name: 'slices', step: () => slicesStep(upkeep) },
      { name: 'topics', step: () => watchTopics({ ...deps, topics: parts.topics.values() }) },
    ],
    close: () => closeParts(parts, { breakers, ending: [serving, replays] }),
  }
}

async function prepareParts(config: Config, deps: ComposeDeps): Promise<Parts> {
  // First: a store that was put back together with the log makes topics go on under other ids.
  await deps.store.ping()
  const topics = new Map(
    (await deps.log.ensureTopics(topicSpecs(config))).map((topic) => [topic.name, topic]),
  )
  const handlers = config.handlers.map(({ name }) => name)
  const endpoints = new EndpointHealth({ ...deps, handlers })
  const { disableAfterMs } = config.delivery
  const served = config.handlers.filter(({ name }) => deps.serves?.has(name) ?? true)
  const parts: Parts = {
    ...{ config, deps, topics, served },
    compiled: new Map(config.handlers.map((handler) => [handler.name, compileHandler(handler)])),
    takes: new Map(served.map(({ name }) => [name, new ReplayTakes(deps)])),
    ...{ endpoints, backlog: new Backlog({ ...deps, handlers, endpoints }) },
    failing: new FailingHandlers(deps),
    fruitless: new FruitlessHandlers({ ...deps, disableAfterMs }),
    payloads: new PayloadCache(deps.log),
    transforms: new Transforms(deps.clock),
    bodyDigest: createBodyDigest(createDigestKey(deps.digestKey)),
    leases: [],
    senders: [],
  }
  for (const source of config.sources)
    await registerHandlers({ ...deps, topic: topicOf(parts, source), handlers: handlersOf(config, source) })
  await warnOfRemoved({ ...deps, handlers })
  return parts
}

/** What waits for other dispatchers; whether there are any, the alarm of serving.ts tells. */
function sayServed({ config, deps, served }: Parts): void {
  if (served.length === config.handlers.length) return
  const names = served.slice(0, NAMED_MAX).map(({ name }) => name)
  const fields = { serves: names, handlers: served.length, of: config.handlers.length }
  if (served.length > 0) deps.logger.info(fields, 'this dispatcher serves some of the handlers')
  else deps.logger.warn(fields, 'this dispatcher serves no handler: none is in the pool default; see --pool')
}

function sourcePlanners(source: SourceConfig, parts: Parts): PartitionPlanner[] {
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

function handlerRunners(parts: Parts, broken: (error: unknown) => void): HandlerRunner[] {
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

function compiledOf({ compiled }: Parts, { name }: HandlerConfig): PlanHandler {
  const found = compiled.get(name)
  assert(found !== undefined, 'every handler is compiled')
  return found
}

function takesOf({ takes }: Parts, { name }: HandlerConfig): ReplayTakes {
  const found = takes.get(name)
  assert(found !== undefined, 'every handler that is sent here has its replays')
  return found
}

/** Its connections are as many as the largest share that it may get. */
function handlerSender(handler: HandlerConfig, parts: Parts): Sender {
  const { config, deps } = parts
  const sender = createSender({
    ...handler,
    connectionsMax: Math.min(handler.concurrency, config.worker.concurrencyMax),
    bytesKept: config.delivery.responseBytesKept,
    monotonic: () => deps.clock.monotonic(),
  })
  parts.senders.push(sender)
  return sender
}

function createRelay(parts: Parts, notes: RelayNotes): Relay {
  const { config, deps, topics } = parts
  const deliveries = topics.get(deliveriesTopic(config.log.topicPrefix))
  const audit = topics.get(auditTopic(config.log.topicPrefix))
  assert(
    deliveries !== undefined && audit !== undefined,
    'ensureTopics returns every topic that was asked for',
  )
  return new Relay({ ...deps, deliveries, audit, notes, lease: newLease(parts, 'relay') })
}

function createGroupOffsets(parts: Parts): GroupOffsets | null {
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

function newLease(parts: Parts, name: string): Lease {
  const lease = new Lease({ ...parts.deps, name })
  parts.leases.push(lease)
  return lease
}

function topicOf({ config, topics }: Parts, source: SourceConfig): Topic {
  const topic = topics.get(eventTopic(config.log.topicPrefix, source.name))
  assert(topic !== undefined, 'ensureTopics returns every topic that was asked for')
  return topic
}

function handlersOf(config: Config, source: SourceConfig): readonly HandlerConfig[] {
  return config.handlers.filter((handler) => handler.source === source.name)
}

async function closeParts(
  { senders, transforms, leases, deps }: Parts,
  { breakers, ending }: { readonly breakers: Breakers; readonly ending: readonly { end(): Promise<void> }[] },
): Promise<void> {
  transforms.close()
  await Promise.all(senders.map((sender) => sender.close()))
  await breakers.settled()
  const released = await Promise.allSettled([
    ...ending.map((part) => part.end()),
    ...leases.map((lease) => lease.release()),
  ])
  const failed = released.filter(({ status }) => status === 'rejected').length
  if (failed > 0) deps.logger.debug({ leases: failed }, 'leases were not released and run out by themselves')
}
