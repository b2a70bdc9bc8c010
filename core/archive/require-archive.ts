/** Tells an archive, however damaged, from a folder that is none: a wrong path must not look like a damaged archive. */
import { HooktrailError } from '../error/hooktrail-error.ts'
import type { ReadableArchive } from '../ports/archive-store.ts'
import { GENESIS_KEY } from './keys.ts'

/** Where an archive's objects lie. Its explaining texts alone are none: nothing was signed yet. */
const PREFIXES = [GENESIS_KEY, 'heartbeats/', 'segments/', 'data/']

/** @throws ARCHIVE_NOT_FOUND */
export async function requireArchive(store: ReadableArchive): Promise<void> {
  for (const prefix of PREFIXES) if (await hasAny(store, prefix)) return
  const reason = (await hasAny(store, '')) ? 'it holds nothing of an archive' : 'it is empty'
  throw new HooktrailError('ARCHIVE_NOT_FOUND', { location: store.location, reason })
}

async function hasAny(store: ReadableArchive, prefix: string): Promise<boolean> {
  for await (const { key } of store.list(prefix)) if (key !== '') return true
  return false
}
