/**
 * The segment of the archive that holds an offset, found through signed manifests alone: nothing is believed that the
 * archive's key did not sign, that lies under another key than its text says, or that belongs to another topic id.
 * Segments follow each other by `next`, so a reader who goes on asks for one key; only a first look lists.
 */
import type { GapReason } from '../../gap-reason.ts'
import { HooktrailError, isHooktrailError } from '../../error/hooktrail-error.ts'
import type { ReadableArchive } from '../../ports/archive-store.ts'
import type { TopicPartition } from '../../ports/event-log.ts'
import { parseManifest } from '../documents.ts'
import { isManifestKey, keyOfManifest, manifestKey, segmentPrefix } from '../keys.ts'
import { MANIFEST_BYTES_MAX, type Manifest } from '../manifest.ts'
import { openNote, type NoteVerifier } from '../signed-note.ts'

/** Offsets that the first listing looks back; each one after that, so many times more. */
const LOOK_BACK = 1_024n
const LOOK_BACK_FACTOR = 16n
/** What lies before the first manifest of a chain was forgotten by the log before it was archived. */
const BEFORE_CHAIN: GapReason = 'retention-loss'

/** An archive, and the keys whose notes are believed. */
export interface ArchiveSource {
  readonly store: ReadableArchive
  readonly keys: readonly NoteVerifier[]
}

export type FoundSegment =
  | { readonly kind: 'segment'; readonly manifest: Manifest }
  /** The chain begins at `next`, and says that it does. */
  | { readonly kind: 'before-chain'; readonly next: bigint; readonly reason: GapReason }

/**
 * Null where the archive does not hold the offset: nothing of the partition, or not so far yet.
 * @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID, ARCHIVE_SEGMENT_ALTERED, and what the store throws
 */
export async function findSegment(
  source: ArchiveSource,
  at: TopicPartition,
  offset: bigint,
): Promise<FoundSegment | null> {
  const direct = await readManifest(source, at, offset)
  if (direct !== null) return { kind: 'segment', manifest: direct }
  const start = await greatestStart(source.store, at, offset)
  if (start === null) return beforeChain(source, at)
  // Somebody may have committed behind what was listed.
  for (let next = start; next <= offset;) {
    const manifest = await readManifest(source, at, next)
    if (manifest === null) return null
    next = BigInt(manifest.next)
    if (next > offset) return { kind: 'segment', manifest }
  }
  return null
}

async function beforeChain(source: ArchiveSource, at: TopicPartition): Promise<FoundSegment | null> {
  const start = await lastStart(source.store, at, { after: null, upTo: null })
  if (start === null) return null
  const manifest = await readManifest(source, at, start)
  if (manifest === null) return null
  if (manifest.previous !== null || !manifest.genesis)
    throw altered(keyOfManifest(manifest), 'manifests before it are missing')
  return { kind: 'before-chain', next: start, reason: BEFORE_CHAIN }
}

/** Signed, and of that place; null where there is none. */
export async function readManifest(
  { store, keys }: ArchiveSource,
  { topic, topicId, partition }: TopicPartition,
  start: bigint,
): Promise<Manifest | null> {
  const key = manifestKey(topic, topicId, partition, start)
  const bytes = await store.read(key, MANIFEST_BYTES_MAX)
  if (bytes === null) return null
  const manifest = named(key, () => parseManifest(openNote(bytes, keys).text))
  if (keyOfManifest(manifest) !== key || manifest.topic_id !== topicId)
    throw altered(key, 'its text belongs elsewhere')
  return manifest
}

/** What is wrong with a note says which one. */
function named<T>(key: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!isHooktrailError(error)) throw error
    throw new HooktrailError(error.code, { ...error.details, key }, error.cause)
  }
}

/** The listing goes forward alone, so it begins a little before the offset, and then further and further back. */
async function greatestStart(
  store: ReadableArchive,
  at: TopicPartition,
  offset: bigint,
): Promise<bigint | null> {
  for (let back = LOOK_BACK; ; back *= LOOK_BACK_FACTOR) {
    const after = offset > back ? offset - back : null
    const start = await lastStart(store, at, { after, upTo: offset })
    if (start !== null || after === null) return start
  }
}

interface StartRange {
  /** Exclusive; null: from the beginning. */
  readonly after: bigint | null
  /** Inclusive; null: the very first is wanted. */
  readonly upTo: bigint | null
}

async function lastStart(
  store: ReadableArchive,
  { topic, topicId, partition }: TopicPartition,
  { after, upTo }: StartRange,
): Promise<bigint | null> {
  const behind = after === null ? undefined : manifestKey(topic, topicId, partition, after)
  let last: bigint | null = null
  for await (const { key } of store.list(segmentPrefix(topic, topicId, partition), behind)) {
    if (!isManifestKey(key)) continue
    const start = startOf(key)
    if (upTo === null) return start
    if (start > upTo) break
    last = start
  }
  return last
}

/** Of a manifest's key. */
export function startOf(key: string): bigint {
  return BigInt(key.slice(key.lastIndexOf('/') + 1, -'.note'.length))
}

export function altered(key: string, reason: string, cause?: unknown): HooktrailError {
  return new HooktrailError('ARCHIVE_SEGMENT_ALTERED', { key, reason }, cause)
}
