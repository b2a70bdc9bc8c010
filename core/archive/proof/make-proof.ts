/**
 * Makes the proof of one event from the archive alone: the rows of its segment, the heartbeat that names its manifest and
 * the one before it. Of a long archive it reads some twenty heartbeats. What it makes it checks as anybody else would.
 */
import { HooktrailError } from '../../error/hooktrail-error.ts'
import type { ReadableArchive } from '../../ports/archive-store.ts'
import type { TopicPartition } from '../../ports/event-log.ts'
import { readRows } from '../data-rows.ts'
import { manifestLeaf } from '../documents.ts'
import { ANCHOR_BYTES_MAX, ANCHORS_PREFIX, anchoredHeartbeat, anchorPrefix } from '../anchor/anchor-keys.ts'
import { readKeyChain } from '../key/read-key-chain.ts'
import { GENESIS_KEY, heartbeatKey, keyOfManifest, numberedKey } from '../keys.ts'
import { leafHash, leafPreimage } from '../leaf.ts'
import type { Heartbeat, Manifest } from '../manifest.ts'
import { findSegment, type ArchiveSource } from '../range/find-segment.ts'
import { decodeRow } from '../row.ts'
import { NOTE_BYTES_MAX } from '../signed-note.ts'
import {
  firstHeartbeat,
  heartbeatCount,
  heartbeatReader,
  type HeartbeatReader,
} from '../tree/heartbeat-search.ts'
import { TreeRange } from '../tree/tree-range.ts'
import { checkProof } from './check-proof.ts'
import { parseProofRow, type Proof } from './proof.ts'

/** Clocks of two archivers may differ by this much. */
const CLOCK_SKEW_MS = 600_000
/** A manifest is named by the next heartbeat that sees it. */
const HEARTBEATS_MAX = 2_000
/** An anchor is made at least once an hour, and a heartbeat at most once a minute. */
const UNTIL_ANCHOR_MAX = 130

export interface EventPlace extends TopicPartition {
  readonly offset: bigint
}

/** @throws ARCHIVE_EVENT_UNPROVEN, and what reading the archive throws */
export async function makeProof(
  source: ArchiveSource,
  place: EventPlace,
  signal: AbortSignal,
): Promise<Proof> {
  const found = await findSegment(source, place, place.offset)
  if (found?.kind !== 'segment') throw unproven(place, 'the archive does not hold this offset')
  const { manifest } = found
  const segment = await segmentPart(source, { manifest, place, signal })
  const key = keyOfManifest(manifest)
  const proof: Proof = {
    kind: 'proof',
    format_version: 1,
    ...segment,
    manifest: await noteText(source.store, key),
    ...(await treePart(source, { manifest, key, place })),
    ...(await keysPart(source.store)),
  }
  checkProof(proof, source.keys)
  return proof
}

interface SegmentRequest {
  readonly manifest: Manifest
  readonly place: EventPlace
  readonly signal: AbortSignal
}

/** Reads the whole data object: the siblings of the leaf are made of all others. */
async function segmentPart(
  { store }: ArchiveSource,
  { manifest, place, signal }: SegmentRequest,
): Promise<Pick<Proof, 'row' | 'preimage' | 'segment'>> {
  const { data } = manifest
  const bytes = data === null ? null : await store.open(data.key)
  if (data === null || bytes === null) throw unproven(place, 'its data object is missing')
  const leaves: Buffer[] = []
  const found: { readonly line: string; readonly index: number }[] = []
  const onLine = (line: string): void => {
    const { record, at } = decodeRow(line)
    if (record.offset === place.offset) found.push({ line, index: leaves.length })
    leaves.push(leafHash(record, at))
  }
  await readRows({ bytes, format: data.format, onLine, signal })
  const [row] = found
  if (row === undefined)
    throw unproven(place, 'the offset is no record: the log used it for itself, or it was lost')
  const { record, at } = decodeRow(row.line)
  return {
    row: parseProofRow(row.line),
    preimage: leafPreimage(record, at).toString('base64'),
    segment: { index: row.index, path: toHex(new TreeRange(leaves).path(row.index)) },
  }
}

/** Nothing where the key of genesis is its own root, and the only one. */
async function keysPart(store: ReadableArchive): Promise<Pick<Proof, 'keys'>> {
  const chain = await readKeyChain(store)
  if (chain === null || (!chain.hasRoot && chain.newestNote === null)) return {}
  const notes = chain.keys.slice(1).map((_, n) => numberedKey('keys', BigInt(n)))
  const keys: string[] = []
  for (const key of [GENESIS_KEY, ...notes]) keys.push(await noteText(store, key))
  return { keys }
}

interface TreeRequest {
  readonly manifest: Manifest
  readonly key: string
  readonly place: EventPlace
}

/** The heartbeat before the one that names the manifest tells the rest of the tree by its edge. */
async function treePart(
  source: ArchiveSource,
  { manifest, key, place }: TreeRequest,
): Promise<Pick<Proof, 'tree' | 'heartbeat' | 'anchors'>> {
  const read = heartbeatReader(source)
  const end = await heartbeatCount(source)
  const signedMs = Date.parse(manifest.created_at) - CLOCK_SKEW_MS
  const from = await firstHeartbeat(read, end, ({ created_at }) => Date.parse(created_at) >= signedMs)
  for (let n = from; n < end && n < from + BigInt(HEARTBEATS_MAX); n++) {
    const heartbeat = await read(n)
    const at = heartbeat?.manifests.findIndex((named) => named.key === key) ?? -1
    if (heartbeat === null || at < 0) continue
    return provenBy(source, { read, n, at, heartbeat, end })
  }
  throw unproven(place, 'no heartbeat names its manifest yet: try again in a minute')
}

interface Naming {
  readonly read: HeartbeatReader
  readonly n: bigint
  /** Of the manifest among those that the heartbeat names. */
  readonly at: number
  readonly heartbeat: Heartbeat
  readonly end: bigint
}

/** Under the first heartbeat from there on that somebody else has seen, or else the one that names it. */
async function provenBy(
  { store }: ArchiveSource,
  { read, n, at, heartbeat, end }: Naming,
): Promise<Pick<Proof, 'tree' | 'heartbeat' | 'anchors'>> {
  const before = n === 0n ? null : await read(n - 1n)
  const size = Number(heartbeat.tree_size) - heartbeat.manifests.length
  const edge = (before?.tree_edge ?? []).map((node) => Buffer.from(node, 'hex'))
  const leaves = heartbeat.manifests.map(({ sha256 }) => manifestLeaf(sha256))
  const anchored = await firstAnchored(store, n, end)
  for (let next = n + 1n; next <= (anchored?.n ?? n); next++) {
    for (const { sha256 } of (await read(next))?.manifests ?? []) leaves.push(manifestLeaf(sha256))
  }
  const index = size + at
  return {
    tree: { index, path: toHex(new TreeRange(leaves, { size, edge }).path(index)) },
    heartbeat: await noteText(store, heartbeatKey(anchored?.n ?? n)),
    anchors: anchored?.anchors ?? [],
  }
}

interface Anchored {
  readonly n: bigint
  readonly anchors: Proof['anchors']
}

/** Keys of anchors are in the order of heartbeats. */
async function firstAnchored(store: ReadableArchive, from: bigint, end: bigint): Promise<Anchored | null> {
  const anchors: Proof['anchors'] = []
  let anchored: bigint | null = null
  for await (const { key } of store.list(ANCHORS_PREFIX, `${anchorPrefix(from)}.`)) {
    const n = anchoredHeartbeat(key)
    if (n === null) continue
    anchored ??= n
    if (n !== anchored || n >= end || n > from + BigInt(UNTIL_ANCHOR_MAX)) break
    const body = await store.read(key, ANCHOR_BYTES_MAX)
    if (body !== null) anchors.push({ key, body: body.toString('base64') })
  }
  return anchored === null || anchors.length === 0 ? null : { n: anchored, anchors }
}

async function noteText(store: ReadableArchive, key: string): Promise<string> {
  const bytes = await store.read(key, NOTE_BYTES_MAX)
  if (bytes === null) throw new HooktrailError('ARCHIVE_SEGMENT_ALTERED', { key, reason: 'it is missing' })
  return bytes.toString()
}

function toHex(path: readonly Buffer[]): string[] {
  return path.map((node) => node.toString('hex'))
}

function unproven({ topic, partition, offset }: EventPlace, reason: string): HooktrailError {
  return new HooktrailError('ARCHIVE_EVENT_UNPROVEN', { topic, partition, offset: String(offset), reason })
}
