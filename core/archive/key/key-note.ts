/**
 * Key notes `keys/<n>.note`: another key takes the place of the one that signed so far. Signed by the new key, by the one
 * before it, and carrying the root's delegation where the archive has a root of its own. Each names the note before.
 */
import { z } from 'zod'
import { int64, parseDocument, sha256, text, time, version } from '../document-fields.ts'
import type { FORMAT_VERSION } from '../manifest.ts'
import { NOTE_TEXT_LENGTH_MAX } from '../signed-note.ts'

export interface KeyNote {
  readonly kind: 'key'
  readonly format_version: typeof FORMAT_VERSION
  readonly archive_id: string
  readonly n: string
  /** Never before the newest heartbeat then: from an hour after it on nothing of the key before is believed. */
  readonly created_at: string
  /** SHA-256 of the note before; of genesis.note for n = 0. */
  readonly previous: string
  /** Verifier key of the new key. */
  readonly key: string
  /** The root's note; null where the archive has no root of its own. */
  readonly delegation: string | null
  readonly writer: string
}

const schema = z.strictObject({
  kind: z.literal('key'),
  format_version: version,
  archive_id: text,
  n: int64,
  created_at: time,
  previous: sha256,
  key: text,
  delegation: z.string().max(NOTE_TEXT_LENGTH_MAX).nullable(),
  writer: text,
})

/** @throws ARCHIVE_DOCUMENT_INVALID */
export function parseKeyNote(line: string): KeyNote {
  return parseDocument(schema, line)
}
