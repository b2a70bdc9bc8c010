/**
 * Where handlers start (delivery §1). One insert in the store decides who writes the positions of all partitions;
 * whoever comes later, or again, changes nothing but adds partitions that are missing, where the index starts there.
 * `latest` is the end of the log at that moment, except on a topic that hooktrail made and that the index never
 * planned: nothing acknowledged before the first dispatcher ran may be skipped.
 */
import type { HandlerConfig } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog, Topic } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { HandlerStart } from '../core/ports/plan-store.ts'

export interface RegistrationOptions {
  readonly log: Pick<EventLog, 'bounds'>
  readonly store: Pick<JobStore, 'registerHandler' | 'ensureIndex' | 'indexedBefore'>
  readonly topic: Topic
  readonly handlers: readonly HandlerConfig[]
  readonly logger: Logger
}

export async function registerHandlers(options: RegistrationOptions): Promise<void> {
  const { topic, store } = options
  const fresh = topic.createdByUs && !(await store.indexedBefore(topic.id))
  for (const handler of options.handlers) await registerHandler(handler, fresh, options)
  // After the handlers: once the index is there the topic no longer counts as never planned.
  for (let partition = 0; partition < topic.partitions; partition++)
    await store.ensureIndex(topic.id, partition, await firstOffset(options, partition))
}

async function registerHandler(
  handler: HandlerConfig,
  fresh: boolean,
  options: RegistrationOptions,
): Promise<void> {
  const positions: HandlerStart['positions'][number][] = []
  for (let partition = 0; partition < options.topic.partitions; partition++)
    positions.push({
      topicId: options.topic.id,
      partition,
      next: fresh ? 0n : await startOffset(handler, options, partition),
      first: await firstOffset(options, partition),
    })
  const start = { handler: handler.name, source: handler.source, positions }
  const { created } = await options.store.registerHandler(start)
  if (!created) return
  const offsets = positions.map(({ partition, next }) => `${partition}:${next}`)
  options.logger.info({ handler: handler.name, topic: options.topic.name, offsets }, 'a new handler starts')
}

async function startOffset(
  handler: HandlerConfig,
  options: RegistrationOptions,
  partition: number,
): Promise<bigint> {
  const bounds = await options.log.bounds(placeOf(options, partition))
  switch (handler.start) {
    case 'latest':
      return bounds.highWatermark
    case 'earliest':
      return bounds.logStart
    default:
      return handler.start satisfies never
  }
}

/** Where the log begins for hooktrail: of its own topic it has seen all, of another what was there when it came. */
async function firstOffset(options: RegistrationOptions, partition: number): Promise<bigint> {
  return options.topic.createdByUs ? 0n : (await options.log.bounds(placeOf(options, partition))).logStart
}

function placeOf({ topic }: RegistrationOptions, partition: number): Parameters<EventLog['bounds']>[0] {
  return { topic: topic.name, topicId: topic.id, partition }
}
