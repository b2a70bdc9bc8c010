/** What /health and the metrics say about the archiver: how far behind, the last heartbeat, what is halted and why. */
import { wormResult } from '../core/archive/worm.ts'
import type { Topic } from '../core/ports/event-log.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import type { ArchiverContext } from './archiver-context.ts'
import type { StoredHeartbeat } from './heartbeat-chain.ts'
import type { WriterStatus } from './partition-writer.ts'

/** Null stands for what this process does not know: not looked at yet, or another process archives it. */
export interface TopicLag {
  readonly topic: string
  /** Offsets in the log that no manifest covers. */
  readonly lagRecords: bigint | null
  /** Age of the oldest of them, by log time; 0 where there is none. */
  readonly lagSeconds: number | null
  /** Of the partition that has the fewest, among those where something waits; null also where nothing does. */
  readonly marginRecords: bigint | null
}

export interface HaltedPartition {
  readonly topic: string
  readonly partition: number
  readonly reason: string
}

export interface ArchiverStatus {
  readonly archiveId: string
  readonly location: string
  /** Null unless all topics are known: a part of the archive says nothing about the whole. */
  readonly lagRecords: bigint | null
  readonly lagSeconds: number | null
  readonly topics: readonly TopicLag[]
  readonly lastHeartbeat: {
    readonly n: string
    readonly createdAt: string
    readonly ageSeconds: number
    /** What it says of the deletion lock. */
    readonly worm: string
  } | null
  readonly halted: readonly HaltedPartition[]
  /** Why no heartbeat can be signed: the chain in the store contradicts itself. */
  readonly chainFault: string | null
  readonly waitsFor: string | null
}

export interface StatusSource {
  /** Of the log; null before it was asked. */
  readonly logTopics: readonly Topic[] | null
  readonly newest: StoredHeartbeat | null
  readonly writers: readonly WriterStatus[]
  readonly chainFault: string | null
  readonly waitsFor: string | null
}

export function archiverStatus(context: ArchiverContext, source: StatusSource): ArchiverStatus {
  const now = context.clock.now()
  const topics = (source.logTopics ?? []).map((topic) => topicLag(topic, source.writers, now))
  const heartbeat = source.newest?.heartbeat ?? null
  return {
    archiveId: context.archiveId,
    location: context.archive.location,
    ...wholeLag(topics),
    topics,
    lastHeartbeat:
      heartbeat === null
        ? null
        : {
            n: heartbeat.n,
            createdAt: heartbeat.created_at,
            ageSeconds: secondsBetween(Date.parse(heartbeat.created_at), now),
            worm: wormResult(heartbeat.worm),
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

export function publishStatus(metrics: Metrics, { topics, lastHeartbeat }: ArchiverStatus): void {
  for (const { topic, lagRecords, lagSeconds, marginRecords } of topics) {
    metrics.set('archive_lag_records', { topic }, numberOf(lagRecords))
    metrics.set('archive_margin_records', { topic }, numberOf(marginRecords))
    metrics.set('archive_lag_seconds', { topic }, lagSeconds)
  }
  metrics.set('heartbeat_age_seconds', {}, lastHeartbeat?.ageSeconds ?? null)
}

function numberOf(records: bigint | null): number | null {
  return records === null ? null : Number(records)
}

function topicLag(topic: Topic, writers: readonly WriterStatus[], now: number): TopicLag {
  const lags = writers.flatMap(({ at, lag }) => (at.topicId === topic.id && lag !== null ? [lag] : []))
  if (lags.length < topic.partitions)
    return { topic: topic.name, lagRecords: null, lagSeconds: null, marginRecords: null }
  const ages = lags.map(({ oldestMs }) => (oldestMs === null ? 0 : secondsBetween(Number(oldestMs), now)))
  return {
    topic: topic.name,
    lagRecords: lags.reduce((sum, { records }) => sum + records, 0n),
    lagSeconds: Math.max(0, ...ages),
    marginRecords: smallest(lags.flatMap(({ records, margin }) => (records > 0n ? [margin] : []))),
  }
}

function smallest(values: readonly bigint[]): bigint | null {
  return values.reduce<bigint | null>(
    (least, value) => (least === null || value < least ? value : least),
    null,
  )
}

function wholeLag(topics: readonly TopicLag[]): Pick<ArchiverStatus, 'lagRecords' | 'lagSeconds'> {
  let lagRecords = 0n
  let lagSeconds = 0
  for (const topic of topics) {
    if (topic.lagRecords === null || topic.lagSeconds === null) return { lagRecords: null, lagSeconds: null }
    lagRecords += topic.lagRecords
    lagSeconds = Math.max(lagSeconds, topic.lagSeconds)
  }
  return topics.length === 0 ? { lagRecords: null, lagSeconds: null } : { lagRecords, lagSeconds }
}

function secondsBetween(fromMs: number, toMs: number): number {
  return Math.max(0, (toMs - fromMs) / 1000)
}
