/** What /health and the metrics say about the archiver: how far behind, the last heartbeat, what is halted and why. */
import type { ArchiverContext } from './archiver-context.ts'
import type { StoredHeartbeat } from './heartbeat-chain.ts'
import type { WriterStatus } from './partition-writer.ts'

export interface TopicLag {
  readonly topic: string
  /** Offsets in the log that no manifest covers. */
  readonly lagRecords: bigint
  /** Age of the oldest of them, by log time; 0 where there is none. */
  readonly lagSeconds: number
}

export interface HaltedPartition {
  readonly topic: string
  readonly partition: number
  readonly reason: string
}

export interface ArchiverStatus {
  readonly archiveId: string
  readonly location: string
  readonly lagRecords: bigint
  readonly lagSeconds: number
  readonly topics: readonly TopicLag[]
  readonly lastHeartbeat: {
    readonly n: string
    readonly createdAt: string
    readonly ageSeconds: number
  } | null
  readonly halted: readonly HaltedPartition[]
  /** Why no heartbeat can be signed: the chain in the store contradicts itself. */
  readonly chainFault: string | null
  readonly waitsFor: string | null
}

export interface StatusSource {
  readonly newest: StoredHeartbeat | null
  readonly writers: readonly WriterStatus[]
  readonly chainFault: string | null
  readonly waitsFor: string | null
}

export function archiverStatus(context: ArchiverContext, source: StatusSource): ArchiverStatus {
  const now = context.clock.now()
  const topics = topicLags(source.writers, now)
  const heartbeat = source.newest?.heartbeat ?? null
  return {
    archiveId: context.archiveId,
    location: context.archive.location,
    lagRecords: topics.reduce((sum, { lagRecords }) => sum + lagRecords, 0n),
    lagSeconds: topics.reduce((most, { lagSeconds }) => Math.max(most, lagSeconds), 0),
    topics,
    lastHeartbeat:
      heartbeat === null
        ? null
        : {
            n: heartbeat.n,
            createdAt: heartbeat.created_at,
            ageSeconds: secondsBetween(Date.parse(heartbeat.created_at), now),
          },
    halted: source.writers.flatMap(({ at, haltedBy }) =>
      haltedBy === null ? [] : [{ topic: at.topic, partition: at.partition, reason: haltedBy }],
    ),
    chainFault: source.chainFault,
    waitsFor:
      source.waitsFor ??
      source.writers.find(({ retryingBecause }) => retryingBecause !== null)?.retryingBecause ??
      null,
  }
}

export function publishStatus({ metrics }: ArchiverContext, { topics, lastHeartbeat }: ArchiverStatus): void {
  for (const { topic, lagRecords, lagSeconds } of topics) {
    metrics.set('archive_lag_records', { topic }, Number(lagRecords))
    metrics.set('archive_lag_seconds', { topic }, lagSeconds)
  }
  if (lastHeartbeat !== null) metrics.set('heartbeat_age_seconds', {}, lastHeartbeat.ageSeconds)
}

function topicLags(writers: readonly WriterStatus[], now: number): readonly TopicLag[] {
  const byTopic = new Map<string, TopicLag>()
  for (const { at, lagRecords, oldestUnarchivedMs } of writers) {
    const before = byTopic.get(at.topic) ?? { topic: at.topic, lagRecords: 0n, lagSeconds: 0 }
    const seconds = oldestUnarchivedMs === null ? 0 : secondsBetween(Number(oldestUnarchivedMs), now)
    byTopic.set(at.topic, {
      topic: at.topic,
      lagRecords: before.lagRecords + lagRecords,
      lagSeconds: Math.max(before.lagSeconds, seconds),
    })
  }
  return [...byTopic.values()]
}

function secondsBetween(fromMs: number, toMs: number): number {
  return Math.max(0, (toMs - fromMs) / 1000)
}
