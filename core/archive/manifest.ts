/**
 * Documents of the archive (archive.md §§2-6). Each is the text of a C2SP signed note: one line of RFC 8785 JSON.
 * Offsets and every other int64 are decimal strings, hashes lower-case hex, times ISO 8601 UTC with milliseconds.
 * Field names on the wire are exactly these.
 */

import type { GapReason } from '../gap-reason.ts'
import type { NumberedNote, Worm } from './worm.ts'

export const FORMAT_VERSION = 1

/** Of data objects; also what their names end in. */
export const SEGMENT_FORMATS = ['jsonl.zst', 'jsonl.gz', 'parquet'] as const

export type SegmentFormat = (typeof SEGMENT_FORMATS)[number]

export interface Genesis {
  readonly kind: 'genesis'
  readonly format_version: typeof FORMAT_VERSION
  /** ULID. */
  readonly archive_id: string
  readonly created_at: string
  readonly cadence: Cadence
  /** C2SP verifier key of the root key. */
  readonly root_key: string
  /** SHA-256 of every explaining object: README.txt, formats.md, tools/… */
  readonly files: Readonly<Record<string, string>>
  /** Of each chain's data objects, until a manifest says otherwise. */
  readonly format: SegmentFormat
  /** The root's note for the key that signs genesis; absent where that is the root key itself. */
  readonly delegation?: string
}

/** A heartbeat is due this long after the one before it: while something changes, and when nothing does. */
export interface Cadence {
  readonly active_seconds: number
  readonly idle_seconds: number
}

export interface ManifestGap {
  readonly from: string
  readonly to: string
  readonly reason: GapReason
}

/** Of its note. */
export const MANIFEST_BYTES_MAX = 16 * 1024 * 1024

export interface Manifest {
  readonly kind: 'segment'
  readonly format_version: typeof FORMAT_VERSION
  readonly archive_id: string
  readonly topic: string
  readonly topic_id: string
  readonly partition: number
  /** First and last offset covered, inclusive; records + Σ gaps = last − first + 1. */
  readonly first: string
  readonly last: string
  /** last + 1: the start offset in the next manifest's key. */
  readonly next: string
  /** True for the first manifest of the chain when the log began later than 0 at genesis. */
  readonly genesis: boolean
  readonly records: number
  readonly raw_bytes: string
  readonly gaps: readonly ManifestGap[]
  /** Null when there is no record. Milliseconds since the epoch. */
  readonly min_timestamp_ms: string | null
  readonly max_timestamp_ms: string | null
  /** Null when the range holds no record: then there is no data object. */
  readonly data: ManifestData | null
  /** RFC 6962 root over the leaves, of the empty tree when there is no record. */
  readonly merkle_root: string
  readonly leaves: number
  /** SHA-256 of the previous manifest's note bytes; null for the first of a chain. */
  readonly previous: string | null
  readonly leader_epochs: readonly { readonly epoch: number; readonly start: string }[]
  readonly log_start: string
  readonly high_watermark: string
  readonly retention: {
    readonly mode: 'governance' | 'compliance'
    readonly until: string
    readonly verified: boolean
  } | null
  readonly encryption: null
  /** Of the chain's next data object where that is not genesis': writers with other settings meet at one key. */
  readonly format?: { readonly next: SegmentFormat }
  readonly writer: string
  readonly created_at: string
  /** True when the data object was found in the store and not written by this writer. */
  readonly adopted: boolean
}

export interface ManifestData {
  readonly key: string
  readonly version_id: string | null
  readonly size: number
  readonly sha256: string
  readonly format: SegmentFormat
  readonly schema: string
}

/** Format of the next data object of a chain. @param head its newest manifest, null while there is none */
export function formatBehind(genesis: SegmentFormat, head: Manifest | null): SegmentFormat {
  return head?.format?.next ?? genesis
}

/** RFC 6962 root over the leaves of all records from `to` of its row up to before `next`: an open segment's, while it is open. */
export interface RunningRoot {
  readonly next: string
  readonly root: string
}

/** One partition's state in a heartbeat. */
export interface HeartbeatPartition {
  readonly topic: string
  readonly topic_id: string
  readonly partition: number
  /** Head at the heartbeat before and now: the `next` of the newest manifest. */
  readonly from: string
  readonly to: string
  /** SHA-256 of the newest manifest's note; null while there is none. */
  readonly head: string | null
  /** Of what lies behind `to` and is not in a manifest yet; null where its archiver has told of nothing. */
  readonly running: RunningRoot | null
  readonly log_start: string
  readonly high_watermark: string
}

/** An object, and the SHA-256 of its bytes. */
export interface NamedObject {
  readonly key: string
  readonly sha256: string
}

export interface Heartbeat {
  readonly kind: 'heartbeat'
  readonly format_version: typeof FORMAT_VERSION
  readonly archive_id: string
  /** 0, 1, 2 …: the key is a function of this alone. */
  readonly n: string
  readonly created_at: string
  /** SHA-256 of the previous heartbeat's note; of genesis.note for n = 0. */
  readonly previous: string
  /** Partitions that changed, ordered by topic, topic id, partition. All of them when `full`. */
  readonly partitions: readonly HeartbeatPartition[]
  readonly full: boolean
  /** RFC 6962 root over the whole partition table (leaf = its RFC 8785 JSON without `from`). */
  readonly partition_root: string
  /** SHA-256 of manifests new since the heartbeat before, in the order in which they enter the tree. */
  readonly manifests: readonly NamedObject[]
  /** The tree over all manifests so far: leaf = SHA-256(0x00 ‖ manifest hash). */
  readonly tree_size: string
  readonly tree_root: string
  /** Right edge of that tree, largest subtree first, ≤ 64 hashes: any archiver continues from it alone. */
  readonly tree_edge: readonly string[]
  /** `off` where nothing was ever locked, held or agreed on. */
  /** That tree as a signed C2SP checkpoint; heartbeats of earlier versions have none. */
  readonly checkpoint?: string
  readonly worm: 'off' | Worm
  /** The newest key note, whose key signs this heartbeat; absent while there is none. */
  readonly keys?: NumberedNote
  readonly clocks: { readonly own: string; readonly log: string | null; readonly store: string | null }
  /** Anchors of earlier heartbeats that its writer made since. */
  readonly anchors: readonly NamedObject[]
  readonly writer: string
}
