/**
 * Where every partition ends by the archive: how far its chain goes, and what the newest heartbeat signed of the log's
 * end. The second witness of what the log held, whatever became of it since; partitions whose topics are gone stay in it.
 * Nothing is believed that the archive's key did not sign.
 */
import type { ReadableArchive } from '../../ports/archive-store.ts'
import type { TopicPartition } from '../../ports/event-log.ts'
import { parseHeartbeat } from '../documents.ts'
import { heartbeatKey } from '../keys.ts'
import type { Heartbeat, HeartbeatPartition } from '../manifest.ts'
import { openNote } from '../signed-note.ts'
import { findSegment, type ArchiveSource } from './find-segment.ts'

const HEARTBEAT_BYTES_MAX = 64 * 1024 * 1024

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
  for (let n = await newestNumber(source.store); n >= 0n; n--) {
    const heartbeat = await readHeartbeat(source, n)
    for (const row of heartbeat?.partitions ?? []) {
      const name = `${row.topic_id}/${row.partition}`
      if (!rows.has(name)) rows.set(name, row)
    }
    if (heartbeat?.full === true) break
  }
  return [...rows.values()]
}

async function readHeartbeat({ store, keys }: ArchiveSource, n: bigint): Promise<Heartbeat | null> {
  const bytes = await store.read(heartbeatKey(n), HEARTBEAT_BYTES_MAX)
  return bytes === null ? null : parseHeartbeat(openNote(bytes, keys).text)
}

/** Numbers have no holes: double until one is absent, then halve the distance. −1: there is none. */
async function newestNumber(store: ReadableArchive): Promise<bigint> {
  const exists = async (n: bigint): Promise<boolean> =>
    (await store.read(heartbeatKey(n), HEARTBEAT_BYTES_MAX)) !== null
  let [low, high] = [-1n, 0n]
  while (await exists(high)) {
    low = high
    high = 2n * high + 1n
  }
  while (high - low > 1n) {
    const middle = low + (high - low) / 2n
    if (await exists(middle)) low = middle
    else high = middle
  }
  return low
}
