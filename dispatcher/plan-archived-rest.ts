/**
 * Plans what the archive holds of event topics that the log does not have any more, for every handler to the end of its
 * chain: of a log that was put back nothing else is left, and nobody reads an old topic id later. While the store
 * recovers, so that nothing is delivered before it is complete.
 */
import type { SignedEnd } from '../core/archive/range/signed-ends.ts'
import type { EventLog, TopicId } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { sourceOfTopic } from '../core/topics.ts'
import { planPartition, type PartitionRest } from './plan-rest.ts'

export interface ArchivedRest extends Pick<PartitionRest, 'config'> {
  readonly deps: Omit<PartitionRest['deps'], 'log' | 'store'> & {
    /** Log and archive as one. */
    readonly log: Pick<EventLog, 'read'>
    readonly store: JobStore
  }
  readonly ends: readonly SignedEnd[]
  /** Of the topics. */
  readonly ids: ReadonlySet<TopicId>
}

export async function planArchivedRest(
  { config, deps, ends, ids }: ArchivedRest,
  signal: AbortSignal,
): Promise<void> {
  const { log, store } = deps
  const sources = new Map(config.sources.map((source) => [source.name, source]))
  for (const { topic, topicId, partition, archivedTo } of ends) {
    const source = sources.get(sourceOfTopic(config.log.topicPrefix, topic) ?? '')
    if (source === undefined || !ids.has(topicId)) continue
    const rest: PartitionRest['deps'] = {
      ...deps,
      log: {
        read: (request) => log.read(request),
        bounds: () => Promise.resolve({ logStart: 0n, highWatermark: archivedTo }),
      },
      store: {
        positions: (id, number) => store.positions(id, number),
        commitStep: (request, decide) => store.commitRest(request, decide),
        acquireLease: (name, owner, ttlMs) => store.acquireLease(name, owner, ttlMs),
        releaseLease: (name, owner) => store.releaseLease(name, owner),
        ping: () => store.ping(),
      },
    }
    await planPartition({ config, source, at: { topic, topicId, partition }, deps: rest }, signal)
  }
}
