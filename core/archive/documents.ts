/**
 * Text of the archive's documents: one line of RFC 8785 JSON. Reading is strict: unknown or missing fields, another
 * spelling of the same value, or anything after the line are refused, so that one document has exactly one form.
 */
import { z } from 'zod'
import { HooktrailError } from '../error/hooktrail-error.ts'
import { canonicalJson } from './canonical-json.ts'
import {
  cadence,
  count,
  int64,
  key,
  lockMode,
  parseDocument,
  sha256,
  signed64,
  text,
  time,
  topicId,
  topicName,
  version,
} from './document-fields.ts'
import type { Hold } from './holds.ts'
import type { KeyNote } from './key/key-note.ts'
import {
  SEGMENT_FORMATS,
  type Genesis,
  type Heartbeat,
  type HeartbeatPartition,
  type Manifest,
} from './manifest.ts'
import { merkleLeaf } from './merkle.ts'
import type { Policy } from './policy.ts'
import { NOTE_TEXT_LENGTH_MAX } from './signed-note.ts'
import { PROBE_CHECKS, PROBE_VERDICTS, WORM_RESULTS } from './worm.ts'

export type ArchiveDocument = Genesis | Manifest | Heartbeat | Policy | Hold | KeyNote

const format = z.enum(SEGMENT_FORMATS)

const genesis = z.strictObject({
  kind: z.literal('genesis'),
  format_version: version,
  archive_id: text,
  created_at: time,
  cadence,
  root_key: text,
  files: z.record(key, sha256),
  format,
  delegation: z.string().max(NOTE_TEXT_LENGTH_MAX).exactOptional(),
})

const manifest = z.strictObject({
  kind: z.literal('segment'),
  format_version: version,
  archive_id: text,
  topic: topicName,
  topic_id: topicId,
  partition: count,
  first: int64,
  last: int64,
  next: int64,
  genesis: z.boolean(),
  records: count,
  raw_bytes: int64,
  gaps: z.array(
    z.strictObject({
      from: int64,
      to: int64,
      reason: z.enum([
        'control',
        'aborted',
        'compacted',
        'hole',
        'retention-loss',
        'topic-deleted',
        'log-travelled-back',
      ]),
    }),
  ),
  min_timestamp_ms: signed64.nullable(),
  max_timestamp_ms: signed64.nullable(),
  data: z
    .strictObject({ key, version_id: text.nullable(), size: count, sha256, format, schema: text })
    .nullable(),
  merkle_root: sha256,
  leaves: count,
  previous: sha256.nullable(),
  leader_epochs: z.array(z.strictObject({ epoch: z.int(), start: int64 })),
  log_start: int64,
  high_watermark: int64,
  retention: z.strictObject({ mode: lockMode, until: time, verified: z.boolean() }).nullable(),
  encryption: z.null(),
  format: z.strictObject({ next: format }).exactOptional(),
  writer: text,
  created_at: time,
  adopted: z.boolean(),
})

const entry = z.strictObject({ n: int64, sha256 })

const worm = z.union([
  z.literal('off'),
  z.strictObject({
    result: z.enum(WORM_RESULTS),
    checked_at: time.nullable(),
    checks: z.partialRecord(z.enum(PROBE_CHECKS), z.enum(PROBE_VERDICTS)),
    policy: entry.nullable(),
    holds: entry.nullable(),
  }),
])

const heartbeat = z.strictObject({
  kind: z.literal('heartbeat'),
  format_version: version,
  archive_id: text,
  n: int64,
  created_at: time,
  previous: sha256,
  partitions: z.array(
    z.strictObject({
      topic: topicName,
      topic_id: topicId,
      partition: count,
      from: int64,
      to: int64,
      head: sha256.nullable(),
      running: z.strictObject({ next: int64, root: sha256 }).nullable(),
      log_start: int64,
      high_watermark: int64,
    }),
  ),
  full: z.boolean(),
  partition_root: sha256,
  manifests: z.array(z.strictObject({ key, sha256 })),
  tree_size: int64,
  tree_root: sha256,
  tree_edge: z.array(sha256).max(64),
  checkpoint: z.string().max(NOTE_TEXT_LENGTH_MAX).exactOptional(),
  worm,
  keys: entry.exactOptional(),
  clocks: z.strictObject({ own: time, log: time.nullable(), store: time.nullable() }),
  anchors: z.array(z.strictObject({ key, sha256 })),
  writer: text,
})

/** The text of a note: one canonical line with its newline. */
export function encodeDocument(document: ArchiveDocument): string {
  return `${canonicalJson(document)}\n`
}

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parseGenesis(line: string): Genesis {
  return parseDocument(genesis, line)
}

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parseManifest(line: string): Manifest {
  const document: Manifest = parseDocument(manifest, line)
  const fault = manifestFault(document)
  if (fault !== null) throw new HooktrailError('ARCHIVE_DOCUMENT_INVALID', { reason: fault })
  return document
}

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parseHeartbeat(line: string): Heartbeat {
  return parseDocument(heartbeat, line)
}

/** What a manifest says against itself, or null. Writers assert null before they sign. */
export function manifestFault(document: Manifest): string | null {
  const first = BigInt(document.first)
  const last = BigInt(document.last)
  if (last < first || BigInt(document.next) !== last + 1n) return 'first, last and next do not fit together'
  let missing = 0n
  let from = first
  for (const gap of document.gaps) {
    if (BigInt(gap.from) < from || BigInt(gap.to) < BigInt(gap.from))
      return 'gaps overlap or are out of order'
    from = BigInt(gap.to) + 1n
    missing += from - BigInt(gap.from)
  }
  if (from > last + 1n) return 'a gap reaches beyond the last offset'
  if (BigInt(document.records) + missing !== last - first + 1n)
    return 'records and gaps do not cover the range'
  if (document.leaves !== document.records) return 'there is not one leaf for each record'
  if ((document.data === null) !== (document.records === 0))
    return 'records without data, or data without records'
  return null
}

/** Leaf of the partition table: what stays the same while nothing changes, so without `from`. */
export function partitionLeaf(state: HeartbeatPartition): Buffer {
  const { topic, topic_id, partition, to, head, running, log_start, high_watermark } = state
  const leaf = { topic, topic_id, partition, to, head, running, log_start, high_watermark }
  return merkleLeaf(Buffer.from(canonicalJson(leaf)))
}

/** Leaf of the tree over all manifests. @param sha256Hex hash of the manifest's note bytes */
export function manifestLeaf(sha256Hex: string): Buffer {
  return merkleLeaf(Buffer.from(sha256Hex, 'hex'))
}

/** Order of partitions in a heartbeat and in the partition table: topic, topic id, partition. */
export function comparePartitions(a: PartitionName, b: PartitionName): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1
  if (a.topic_id !== b.topic_id) return a.topic_id < b.topic_id ? -1 : 1
  return a.partition - b.partition
}

type PartitionName = Pick<HeartbeatPartition, 'topic' | 'topic_id' | 'partition'>
