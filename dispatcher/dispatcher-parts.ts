/** What planners, runners and the other loops of one dispatcher share, and what is closed when they have ended. */
import assert from 'node:assert/strict'
import { createSender } from '../adapters/http/send.ts'
import type { Config, HandlerConfig, SourceConfig } from '../core/config/config.ts'
import type { Sender } from '../core/delivery/sender.ts'
import { compileHandler, type PlanHandler } from '../core/plan/plan-handler.ts'
import type { Topic } from '../core/ports/event-log.ts'
import { createBodyDigest, createDigestKey } from '../core/record/keyed-digest.ts'
import { eventTopic, topicSpecs } from '../core/topics.ts'
import { Backlog } from './backlog.ts'
import type { Breakers } from './breakers.ts'
import type { ComposeDeps } from './dispatcher-deps.ts'
import { EndpointHealth } from './endpoint-health.ts'
import { FailingHandlers } from './failing-handlers.ts'
import { FruitlessHandlers } from './fruitless-handlers.ts'
import { Lease } from './lease.ts'
import { PayloadCache } from './payload-cache.ts'
import { registerHandlers } from './register-handlers.ts'
import { warnOfRemoved } from './removed-handlers.ts'
import { ReplayTakes } from './replay-takes.ts'
import { Transforms } from './transforms.ts'

export interface DispatcherParts {
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

export async function prepareParts(config: Config, deps: ComposeDeps): Promise<DispatcherParts> {
  // First: a store that was put back together with the log makes topics go on under other ids.
  await deps.store.ping()
  const topics = new Map(
    (await deps.log.ensureTopics(topicSpecs(config))).map((topic) => [topic.name, topic]),
  )
  const handlers = config.handlers.map(({ name }) => name)
  const endpoints = new EndpointHealth({ ...deps, handlers })
  const { disableAfterMs } = config.delivery
  const served = config.handlers.filter(({ name }) => deps.serves?.has(name) ?? true)
  const parts: DispatcherParts = {
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

export function compiledOf({ compiled }: DispatcherParts, { name }: HandlerConfig): PlanHandler {
  const found = compiled.get(name)
  assert(found !== undefined, 'every handler is compiled')
  return found
}

export function takesOf({ takes }: DispatcherParts, { name }: HandlerConfig): ReplayTakes {
  const found = takes.get(name)
  assert(found !== undefined, 'every handler that is sent here has its replays')
  return found
}

/** Its connections are as many as the largest share that it may get. */
export function handlerSender(handler: HandlerConfig, parts: DispatcherParts): Sender {
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

export function newLease(parts: DispatcherParts, name: string): Lease {
  const lease = new Lease({ ...parts.deps, name })
  parts.leases.push(lease)
  return lease
}

export function topicOf({ config, topics }: DispatcherParts, source: SourceConfig): Topic {
  const topic = topics.get(eventTopic(config.log.topicPrefix, source.name))
  assert(topic !== undefined, 'ensureTopics returns every topic that was asked for')
  return topic
}

export function handlersOf(config: Config, source: SourceConfig): readonly HandlerConfig[] {
  return config.handlers.filter((handler) => handler.source === source.name)
}

export async function closeParts(
  { senders, transforms, leases, deps }: DispatcherParts,
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
