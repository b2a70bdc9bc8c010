/** Reads one signed note for verification: what is wrong with it becomes a finding, not an exception. */
import { hash } from 'node:crypto'
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import { openNote, statedSigner, type NoteVerifier } from '../signed-note.ts'
import type { Reading } from './verify-context.ts'

export interface VerifiedNote<T> {
  readonly document: T
  /** SHA-256 of the note's bytes, hex. */
  readonly sha256: string
  /** Null where several signed it. */
  readonly signer: NoteVerifier | null
}

export interface NoteRequest<T> {
  readonly key: string
  readonly parse: (text: string) => T
}

/** @returns null when the note is malformed, not signed by a known key, or of another archive; that is reported. */
export function openVerified<T extends { archive_id: string }>(
  context: Reading,
  { key, parse }: NoteRequest<T>,
  bytes: Buffer,
): VerifiedNote<T> | null {
  const document = attempt(context, key, () => parse(openNote(bytes, context.keys).text))
  if (document === null) return null
  if (document.archive_id !== context.archiveId) {
    context.findings.altered('note-invalid', key, 'it belongs to another archive')
    return null
  }
  return { document, sha256: hash('sha256', bytes, 'hex'), signer: statedSigner(bytes, context.keys) }
}

/** What `read` throws about the note becomes a finding; other errors pass. */
export function attempt<T>(context: Pick<Reading, 'findings'>, key: string, read: () => T): T | null {
  try {
    return read()
  } catch (error) {
    if (!isHooktrailError(error)) throw error
    const { reason } = error.details
    const why = typeof reason === 'string' ? reason : error.code
    context.findings.altered('note-invalid', key, `the note cannot be believed: ${why}`)
    return null
  }
}
