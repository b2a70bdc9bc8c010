/**
 * Manifests in the order of their keys, read lazily: topic, incarnation, partition, offset. Signatures are not checked
 * here; this is for commands that show or read, after `archive verify` has judged.
 */
import type { ArchiveStore } from '../ports/archive-store.ts'
import { parseManifest } from './documents.ts'
import { isManifestKey } from './keys.ts'
import type { Manifest } from './manifest.ts'
import { readNoteUnverified } from './signed-note.ts'

const MANIFEST_BYTES_MAX = 16 * 1024 * 1024

export interface ListedManifest {
  readonly key: string
  readonly manifest: Manifest
}

/** @param topic null: of every topic. @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
export async function* listManifests(
  store: ArchiveStore,
  topic: string | null,
): AsyncGenerator<ListedManifest> {
  for await (const { key } of store.list(topic === null ? 'segments/' : `segments/${topic}/`)) {
    if (!isManifestKey(key)) continue
    const bytes = await store.read(key, MANIFEST_BYTES_MAX)
    if (bytes !== null) yield { key, manifest: parseManifest(readNoteUnverified(bytes)) }
  }
}
