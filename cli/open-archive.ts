/** The folder that an archive command is given, when it is an archive. */
import { openDirectoryForReading } from '../adapters/directory/directory-store.ts'
import { requireArchive } from '../core/archive/require-archive.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'

/** @throws ARCHIVE_NOT_FOUND */
export async function openArchive(directory: string): Promise<ArchiveStore> {
  const store = await openDirectoryForReading(directory)
  await requireArchive(store)
  return store
}
