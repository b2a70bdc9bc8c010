/**
 * Signed notes in the store: create-only writes, reads that believe nothing without a known signature. A create whose
 * outcome is unknown rejects; callers repeat it and then find their own note by its key.
 */
import { hash } from 'node:crypto'
import { TEXT_TYPE } from '../core/archive/content-type.ts'
import { encodeDocument, parseManifest, type ArchiveDocument } from '../core/archive/documents.ts'
import type { Manifest } from '../core/archive/manifest.ts'
import { signNoteBy } from '../core/archive/signed-note.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { createObject } from './create-object.ts'

/** A heartbeat after a long outage lists many manifests; everything else is far smaller. */
export const NOTE_BYTES_MAX = 16 * 1024 * 1024

export interface StoredNote {
  readonly key: string
  /** SHA-256 of the note's bytes, hex. */
  readonly sha256: string
  readonly text: string
  readonly bytes: Buffer
}

type NoteContext = Pick<ArchiverContext, 'archive' | 'keys'>

export interface StoredManifest {
  readonly key: string
  readonly sha256: string
  readonly manifest: Manifest
}

/** @throws ARCHIVE_NOTE_INVALID when it is not signed by a known key. */
export async function readNote(context: NoteContext, key: string): Promise<StoredNote | null> {
  const bytes = await context.archive.read(key, NOTE_BYTES_MAX)
  if (bytes === null) return null
  const { text } = await context.keys.open(bytes)
  return { key, sha256: hash('sha256', bytes, 'hex'), text, bytes }
}

export async function readManifest(
  context: NoteContext & { readonly archiveId: string },
  key: string,
): Promise<StoredManifest | null> {
  const note = await readNote(context, key)
  if (note === null) return null
  context.keys.refuseRetired(note.bytes)
  const manifest = parseManifest(note.text)
  if (manifest.archive_id !== context.archiveId) {
    throw new HooktrailError('ARCHIVE_CHAIN_BROKEN', { key, reason: 'it belongs to another archive' })
  }
  return { key, sha256: note.sha256, manifest }
}

/** Signs with the key in force, and creates. @throws ARCHIVE_KEY_RETIRED, ARCHIVE_KEY_EXPIRED, ARCHIVE_SIGNER_FAILED */
export async function createNote(
  context: ArchiverContext,
  key: string,
  document: ArchiveDocument,
  isHeld = false,
): Promise<{ readonly outcome: 'created' | 'exists'; readonly sha256: string }> {
  const body = await signNoteBy(encodeDocument(document), [context.keys.signer()])
  return createSigned(context, key, body, isHeld)
}

/** Creates what is signed already. */
export async function createSigned(
  context: ArchiverContext,
  key: string,
  body: Buffer,
  isHeld = false,
): Promise<{ readonly outcome: 'created' | 'exists'; readonly sha256: string }> {
  const sha256 = hash('sha256', body, 'buffer')
  const outcome = await createObject(context, {
    key,
    body,
    sha256,
    contentType: TEXT_TYPE,
    isHeld,
  })
  return { outcome, sha256: sha256.toString('hex') }
}
