/**
 * A delegation: the root key's word that another key may sign for one archive, at the beginning or in place of another key.
 * Made where the root key lies, without a network; carried to the archiver as one signed note; believed for nothing else.
 */
import { z } from 'zod'
import { canonicalJson } from '../canonical-json.ts'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { parseDocument, text, time, version } from '../document-fields.ts'
import type { FORMAT_VERSION } from '../manifest.ts'
import {
  NOTE_TEXT_LENGTH_MAX,
  openNote,
  parseVerifierKey,
  readNoteUnverified,
  type NoteVerifier,
} from '../signed-note.ts'

export interface Delegation {
  readonly kind: 'delegation'
  readonly format_version: typeof FORMAT_VERSION
  readonly archive_id: string
  readonly created_at: string
  /** Verifier key of the root. */
  readonly root_key: string
  /** Verifier key of the key that may sign. */
  readonly key: string
  /** Verifier key of the key whose place it takes; null: it begins the archive. */
  readonly replaces: string | null
  /** Why the key before need not agree: it is lost or stolen. Null: it has to. */
  readonly reason: string | null
  /** What it signs later than that is not believed; null: no end. */
  readonly until: string | null
}

const schema = z.strictObject({
  kind: z.literal('delegation'),
  format_version: version,
  archive_id: text,
  created_at: time,
  root_key: text,
  key: text,
  replaces: text.nullable(),
  reason: text.nullable(),
  until: time.nullable(),
})

/** The text that the root signs. */
export function encodeDelegation(delegation: Delegation): string {
  return `${canonicalJson(delegation)}\n`
}

export interface OpenedDelegation {
  readonly document: Delegation
  readonly root: NoteVerifier
  readonly key: NoteVerifier
}

/**
 * Signed by the root that it names itself; whether that is the archive's is for the caller to see.
 * @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID, ARCHIVE_DELEGATION_INVALID where it is longer than any
 */
export function openDelegation(note: string): OpenedDelegation {
  if (note.length > NOTE_TEXT_LENGTH_MAX)
    throw new HooktrailError('ARCHIVE_DELEGATION_INVALID', { reason: 'it is longer than any delegation' })
  const bytes = Buffer.from(note)
  const document: Delegation = parseDocument(schema, readNoteUnverified(bytes))
  const root = parseVerifierKey(document.root_key)
  openNote(bytes, [root])
  return { document, root, key: parseVerifierKey(document.key) }
}
