/** What an archive holds, in numbers: the newest heartbeat, the head of each partition, objects and their sizes. */
import { wormResult } from './worm.ts'
import type { ArchiveStore } from '../ports/archive-store.ts'
import { parseHeartbeat } from './documents.ts'
import { listManifests } from './list-manifests.ts'
import type { Heartbeat, Manifest } from './manifest.ts'
import { NOTE_BYTES_MAX, readNoteUnverified } from './signed-note.ts'

const DAY_MS = 86_400_000

export interface PartitionStatus {
  readonly topic: string
  readonly topic_id: string
  readonly partition: number
  /** First offset that is not archived yet. */
  readonly next: string
  readonly records: string
}

export interface ArchiveStatus {
  readonly heartbeat: { readonly n: string; readonly created_at: string; readonly worm: string } | null
  readonly partitions: readonly PartitionStatus[]
  readonly records: string
  readonly data_objects: number
  readonly data_bytes: string
  readonly data_bytes_mean: number
  /** Every object: data, manifests, heartbeats and the explaining files. */
  readonly objects: number
  /** Since the first manifest was written, at least over one day. */
  readonly objects_per_day: number
}

export async function readArchiveStatus(store: ArchiveStore, nowMs: number): Promise<ArchiveStatus> {
  const tally = new Tally()
  for await (const { manifest } of listManifests(store, null)) tally.add(manifest)
  let objects = 0
  let heartbeatKey: string | null = null
  for await (const { key, notFile } of store.list('')) {
    if (notFile !== undefined) continue
    objects += 1
    if (key.startsWith('heartbeats/')) heartbeatKey = key
  }
  const heartbeat = heartbeatKey === null ? null : await readHeartbeat(store, heartbeatKey)
  const days = Math.max((nowMs - (tally.sinceMs ?? nowMs)) / DAY_MS, 1)
  return {
    heartbeat: heartbeat && {
      n: heartbeat.n,
      created_at: heartbeat.created_at,
      worm: wormResult(heartbeat.worm),
    },
    partitions: [...tally.partitions.values()],
    records: String(tally.records),
    data_objects: tally.objects,
    data_bytes: String(tally.bytes),
    data_bytes_mean: tally.objects === 0 ? 0 : Math.round(Number(tally.bytes) / tally.objects),
    objects,
    objects_per_day: Math.round(objects / days),
  }
}

async function readHeartbeat(store: ArchiveStore, key: string): Promise<Heartbeat | null> {
  const bytes = await store.read(key, NOTE_BYTES_MAX)
  return bytes && parseHeartbeat(readNoteUnverified(bytes))
}

class Tally {
  readonly partitions = new Map<string, PartitionStatus>()
  records = 0n
  objects = 0
  bytes = 0n
  sinceMs: number | null = null

  add(manifest: Manifest): void {
    const { topic, topic_id, partition, next } = manifest
    const name = `${topic}/${topic_id}/${String(partition)}`
    const records = BigInt(this.partitions.get(name)?.records ?? 0) + BigInt(manifest.records)
    this.partitions.set(name, { topic, topic_id, partition, next, records: String(records) })
    this.records += BigInt(manifest.records)
    this.sinceMs = Math.min(this.sinceMs ?? Infinity, Date.parse(manifest.created_at))
    if (manifest.data === null) return
    this.objects += 1
    this.bytes += BigInt(manifest.data.size)
  }
}
