/**
 * Plans what the log still holds for every handler to its end, also for those that are paused, disabled or over a bound:
 * a log that is left behind has no reader any more, and a job goes wherever the store goes. The log must not grow
 * meanwhile. What was planned stays planned, so that a crash costs nothing.
 */
import { randomUUID } from 'node:crypto'
import type { Config, SourceConfig } from '../core/config/config.ts'
import { NEVER } from '../core/deadline.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { compileHandler } from '../core/plan/plan-handler.ts'
import type { EventLog, Topic, TopicPartition } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { INDEX_HANDLER } from '../core/ports/plan-store.ts'
import { createBodyDigest, createDigestKey } from '../core/record/keyed-digest.ts'
import { eventTopic, topicSpecs } from '../core/topics.ts'
import type { DispatcherDeps } from './dispatcher-deps.ts'
import { HandlerLags } from './handler-lags.ts'
import { HourlyNotice } from './hourly-notice.ts'
import { Lease } from './lease.ts'
import { runLoop } from './loop.ts'
import { PartitionPlanner } from './partition-planner.ts'
import { PayloadCache } from './payload-cache.ts'
import { registerHandlers } from './register-handlers.ts'
import { WaitList } from './wait-list.ts'

/** Of one handler; each becomes a row of open jobs, about half a KiB. */
export const REST_RECORDS_MAX = 1_000_000
/** Somebody's lease, or the archive, is waited for. */
const WAIT_MS = 100

export type PlanRestDeps = Pick<
  DispatcherDeps,
  'log' | 'store' | 'clock' | 'logger' | 'metrics' | 'digestKey'
>

/** Everybody is let through: what bounds it is asked before. */
const OPEN_BACKLOG = {
  admits: () => true,
  reserve: () => undefined,
  settle: () => undefined,
  planned: () => undefined,
  room: NEVER,
}

/** @throws MOVE_BACKLOG_TOO_LONG before anything was planned */
export async function planRest(config: Config, deps: PlanRestDeps, signal: AbortSignal): Promise<void> {
  const topics = await deps.log.ensureTopics(topicSpecs(config))
  const parts = sourceTopics(config, topics)
  for (const { source, topic } of parts)
    await registerHandlers({ ...deps, topic, handlers: handlersOf(config, source) })
  await refuseLongBacklogs(config, deps, parts)
  for (const { source, topic } of parts)
    for (let partition = 0; partition < topic.partitions; partition++)
      await planPartition({ config, source, deps, at: placeOf(topic, partition) }, signal)
}

/** Handlers of the configuration that are behind, with how many records. */
export async function restOf(
  config: Config,
  {
    log,
    store,
  }: { readonly log: Pick<EventLog, 'topics' | 'bounds'>; readonly store: Pick<JobStore, 'positions'> },
): Promise<ReadonlyMap<string, bigint>> {
  const rest = new Map<string, bigint>()
  for (const { source, topic } of sourceTopics(config, await log.topics())) {
    const wanted = new Set(handlersOf(config, source).map(({ name }) => name))
    for (let partition = 0; partition < topic.partitions; partition++) {
      const { highWatermark } = await log.bounds(placeOf(topic, partition))
      for (const { handler, next } of await store.positions(topic.id, partition))
        if (wanted.has(handler) && next < highWatermark)
          rest.set(handler, (rest.get(handler) ?? 0n) + highWatermark - next)
    }
  }
  return rest
}

interface SourceTopic {
  readonly source: SourceConfig
  readonly topic: Topic
}

function sourceTopics({ sources, log }: Config, topics: readonly Topic[]): readonly SourceTopic[] {
  return sources.flatMap((source) => {
    const topic = topics.find(({ name }) => name === eventTopic(log.topicPrefix, source.name))
    return topic === undefined ? [] : [{ source, topic }]
  })
}

async function refuseLongBacklogs(
  config: Config,
  deps: PlanRestDeps,
  parts: readonly SourceTopic[],
): Promise<void> {
  if (parts.length === 0) return
  for (const [handler, records] of await restOf(config, deps))
    if (records > BigInt(REST_RECORDS_MAX))
      throw new HooktrailError('MOVE_BACKLOG_TOO_LONG', {
        handler,
        records: String(records),
        max: REST_RECORDS_MAX,
      })
}

export interface PartitionRest {
  readonly config: Config
  readonly source: SourceConfig
  readonly deps: Omit<PlanRestDeps, 'log' | 'store'> & {
    readonly log: Pick<EventLog, 'read' | 'bounds'>
    readonly store: Pick<JobStore, 'positions' | 'commitStep' | 'ping' | 'acquireLease' | 'releaseLease'>
  }
  readonly at: TopicPartition
}

/** To where its log ends. */
export async function planPartition(rest: PartitionRest, signal: AbortSignal): Promise<void> {
  const { at, deps } = rest
  const lease = new Lease({ ...deps, name: `plan/${at.topicId}/${at.partition}`, owner: randomUUID() })
  const planner = createPlanner(rest, lease)
  const done = new AbortController()
  const step = async (): Promise<number> => {
    // First: behind the end of what is only archived there is nothing that could be asked.
    if (await isPlanned(rest)) done.abort()
    else if ((await planner.step(signal, 0)) === 'committed') return 0
    return WAIT_MS
  }
  const context = { ...deps, waits: new WaitList() }
  await runLoop({ name: planner.name, step }, context, AbortSignal.any([signal, done.signal]))
  await lease.release()
  signal.throwIfAborted()
}

function createPlanner({ config, source, deps, at }: PartitionRest, lease: Lease): PartitionPlanner {
  return new PartitionPlanner({
    ...deps,
    ...{ at, source, lease },
    handlers: handlersOf(config, source).map(compileHandler),
    served: new Set<string>(),
    eventTtlMs: config.delivery.eventTtlMs,
    generation: config.generation,
    bodyDigest: createBodyDigest(createDigestKey(deps.digestKey)),
    // Nobody takes meanwhile; the new side looks for itself.
    queue: { offer: () => Promise.resolve() },
    backlog: OPEN_BACKLOG,
    payloads: new PayloadCache(deps.log, 0),
    lags: new HandlerLags(deps.metrics, config.log.retentionMs),
    filterErrors: new HourlyNotice(deps.clock),
    waits: new WaitList(),
  })
}

async function isPlanned({ config, source, deps, at }: PartitionRest): Promise<boolean> {
  const { highWatermark } = await deps.log.bounds(at)
  const wanted = new Set([INDEX_HANDLER, ...handlersOf(config, source).map(({ name }) => name)])
  const positions = await deps.store.positions(at.topicId, at.partition)
  return positions.every(({ handler, next }) => !wanted.has(handler) || next >= highWatermark)
}

function handlersOf(config: Config, { name }: SourceConfig) {
  return config.handlers.filter(({ source }) => source === name)
}

function placeOf({ name, id }: Topic, partition: number): TopicPartition {
  return { topic: name, topicId: id, partition }
}
