/**
 * Where every partition ends by the archive: how far its chain goes, and what the newest heartbeat signed of the log's
 * end. The second witness of what the log held, whatever became of it since; partitions whose topics are gone stay in it.
 * Nothing is believed that the archive's key did not sign.
 */
import type { TopicPartition } from '../../ports/event-log.ts'
import type { HeartbeatPartition } from '../manifest.ts'
import { heartbeatCount, heartbeatReader } from '../tree/heartbeat-search.ts'
import { findSegment, type ArchiveSource } from './find-segment.ts'

export interface SignedEnd extends TopicPartition {
  /** First offset that no manifest covers. */
  readonly archivedTo: bigint
  /** Of the log, at least. */
  readonly highWatermark: bigint
}

/** @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID, ARCHIVE_SEGMENT_ALTERED, and what the store throws */
export async function readSignedEnds(source: ArchiveSource): Promise<readonly SignedEnd[]> {
  const rows = await signedTable(source)
  return Promise.all(
    rows.map(async ({ topic, topic_id: topicId, partition, to, high_watermark: signed }) => {
      const at = { topic, topicId, partition }
      const archivedTo = await followTo(source, at, BigInt(to))
      const highWatermark = BigInt(signed) > archivedTo ? BigInt(signed) : archivedTo
      return { ...at, archivedTo, highWatermark }
    }),
  )
}

/** Manifests that came behind the newest heartbeat. */
async function followTo(source: ArchiveSource, at: TopicPartition, from: bigint): Promise<bigint> {
  for (let next = from; ;) {
    const found = await findSegment(source, at, next)
    if (found?.kind !== 'segment') return next
    next = BigInt(found.manifest.next)
  }
}

/** The newest heartbeat, and those before it back to a full table. */
async function signedTable(source: ArchiveSource): Promise<readonly HeartbeatPartition[]> {
  const rows = new Map<string, HeartbeatPartition>()
  const read = heartbeatReader(source)
  for (let n = (await heartbeatCount(source)) - 1n; n >= 0n; n--) {
    const heartbeat = await read(n)
    for (const row of heartbeat?.partitions ?? []) {
      const name = `${row.topic_id}/${row.partition}`
      if (!rows.has(name)) rows.set(name, row)
    }
    if (heartbeat?.full === true) break
  }
  return [...rows.values()]
}
