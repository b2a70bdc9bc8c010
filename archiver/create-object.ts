/**
 * Creates an object only where this archive still lies. A disk that is no longer mounted leaves an empty folder in its
 * place, and folders can be exchanged: a chain that went on there would be a second history, and the log would be cut.
 */
import { parseGenesis } from '../core/archive/documents.ts'
import { GENESIS_KEY } from '../core/archive/keys.ts'
import { readNoteUnverified } from '../core/archive/signed-note.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { NewObject } from '../core/ports/archive-store.ts'
import type { ArchiverContext } from './archiver-context.ts'

const GENESIS_BYTES_MAX = 1024 * 1024

/** @throws ARCHIVE_REPLACED, and what the store throws */
export async function createObject(
  context: ArchiverContext,
  object: NewObject,
): Promise<'created' | 'exists'> {
  const genesis = await context.archive.read(GENESIS_KEY, GENESIS_BYTES_MAX)
  const found = genesis === null ? null : parseGenesis(readNoteUnverified(genesis)).archive_id
  if (found !== context.archiveId) {
    const { location } = context.archive
    throw new HooktrailError('ARCHIVE_REPLACED', { location, expected: context.archiveId, found })
  }
  const protection = context.protection?.onCreate(object.key, object.isHeld === true)
  return context.archive.create({ ...object, ...protection })
}
