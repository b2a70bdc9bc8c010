/**
 * The tree over all manifests as a C2SP checkpoint (c2sp.org/tlog-checkpoint): what heartbeats carry, authorities stamp,
 * and auditors keep. Tools for transparency logs read it without knowing of archives.
 */
import { HooktrailError } from '../../error/hooktrail-error.ts'
import type { Heartbeat } from '../manifest.ts'
import { openNote, type NoteVerifier } from '../signed-note.ts'

export interface TreeCheckpoint {
  readonly archiveId: string
  readonly size: bigint
  /** Lower-case hex. */
  readonly root: string
}

const ORIGIN = 'hooktrail/'
const TEXT = /^hooktrail\/([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n$/

export function checkpointText({ archiveId, size, root }: TreeCheckpoint): string {
  return `${ORIGIN}${archiveId}\n${String(size)}\n${Buffer.from(root, 'hex').toString('base64')}\n`
}

/** @throws ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
export function openCheckpoint(note: string, known: readonly NoteVerifier[]): TreeCheckpoint {
  const { text } = openNote(Buffer.from(note), known)
  const [, archiveId, size, encoded] = TEXT.exec(text) ?? []
  if (archiveId !== undefined && size !== undefined && encoded !== undefined) {
    const root = Buffer.from(encoded, 'base64').toString('hex')
    const checkpoint = { archiveId, size: BigInt(size), root }
    if (checkpointText(checkpoint) === text) return checkpoint
  }
  throw new HooktrailError('ARCHIVE_DOCUMENT_INVALID', { reason: 'not a checkpoint' })
}

/** What a heartbeat's checkpoint must say. */
export function treeOfHeartbeat({ archive_id, tree_size, tree_root }: Heartbeat): TreeCheckpoint {
  return { archiveId: archive_id, size: BigInt(tree_size), root: tree_root }
}
