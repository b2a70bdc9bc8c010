/**
 * Manifests in the order of their keys, read lazily: topic, incarnation, partition, offset. Signatures are not checked
 * here; this is for commands that show or read, after `archive verify` has judged.
 */
import { HooktrailError } from '../error/hooktrail-error.ts'
import type { ArchiveStore } from '../ports/archive-store.ts'
import { parseManifest } from './documents.ts'
import { isManifestKey } from './keys.ts'
import { MANIFEST_BYTES_MAX, type Manifest } from './manifest.ts'
import { readNoteUnverified } from './signed-note.ts'

export interface ListedManifest {
  readonly key: string
  readonly manifest: Manifest
}

/** Of a hostile archive not every folder is named. */
const TOPICS_MAX = 100

/** @param topic null: of every topic. @throws ARCHIVE_TOPIC_UNKNOWN, ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
export async function* listManifests(
  store: ArchiveStore,
  topic: string | null,
): AsyncGenerator<ListedManifest> {
  let found = false
  for await (const { key } of store.list(topic === null ? 'segments/' : `segments/${topic}/`)) {
    if (!isManifestKey(key)) continue
    const bytes = await store.read(key, MANIFEST_BYTES_MAX)
    if (bytes === null) continue
    found = true
    yield { key, manifest: parseManifest(readNoteUnverified(bytes)) }
  }
  if (topic !== null && !found) {
    throw new HooktrailError('ARCHIVE_TOPIC_UNKNOWN', { topic, topics: await topicsOf(store) })
  }
}

async function topicsOf(store: ArchiveStore): Promise<readonly string[]> {
  const topics: string[] = []
  while (topics.length < TOPICS_MAX) {
    const topic = await nextTopic(store, topics.at(-1))
    if (topic === null) break
    topics.push(topic)
  }
  return topics
}

async function nextTopic(store: ArchiveStore, last: string | undefined): Promise<string | null> {
  // '~' sorts behind everything that a key may hold: all of the last topic is skipped.
  const after = last === undefined ? '' : `segments/${last}/~`
  for await (const { key } of store.list('segments/', after)) {
    if (isManifestKey(key)) return key.split('/')[1] ?? null
  }
  return null
}
