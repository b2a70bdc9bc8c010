/**
 * Where time begins in the archived part of a partition: the first segment, by its signed manifest, that holds a record
 * of that time or later. Log time does not decrease from segment to segment (formats.md), so that a few manifests out of
 * many thousands are read; only their keys are listed.
 */
import type { TopicPartition } from '../../ports/event-log.ts'
import { isManifestKey, segmentPrefix } from '../keys.ts'
import { readManifest, startOf, type ArchiveSource } from './find-segment.ts'

/**
 * First offset of that segment; null where none is so young.
 * @throws as findSegment
 */
export async function segmentSince(
  source: ArchiveSource,
  at: TopicPartition,
  timestampMs: bigint,
): Promise<bigint | null> {
  const starts: bigint[] = []
  for await (const { key } of source.store.list(segmentPrefix(at.topic, at.topicId, at.partition)))
    if (isManifestKey(key)) starts.push(startOf(key))
  let low = 0
  let high = starts.length
  while (low < high) {
    const middle = (low + high) >> 1
    const probe = await youngestFrom(source, at, starts.slice(middle, high))
    // Segments without a record tell no time: they go with the next that has some.
    if (probe === null || probe.youngestMs >= timestampMs) high = middle
    else low = middle + probe.segments
  }
  return starts[low] ?? null
}

interface Probe {
  readonly youngestMs: bigint
  /** Segments up to and with the one that told it. */
  readonly segments: number
}

async function youngestFrom(
  source: ArchiveSource,
  at: TopicPartition,
  starts: readonly bigint[],
): Promise<Probe | null> {
  for (const [index, start] of starts.entries()) {
    const youngest = (await readManifest(source, at, start))?.max_timestamp_ms ?? null
    if (youngest !== null) return { youngestMs: BigInt(youngest), segments: index + 1 }
  }
  return null
}
