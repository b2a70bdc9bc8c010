/** The archive for reading, as the API needs it: opened when it is asked for, since an archiver may make it later. */
import { join } from 'node:path'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import type { Config } from '../../core/config/config.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'

/** Null while there is no archive, or where this process cannot see it. */
export function archiveReader(config: Config, home: string): () => Promise<ArchiveStore | null> {
  const folder = config.archive.directory ?? join(home, 'archive')
  return async () => {
    try {
      return await openDirectoryForReading(folder)
    } catch (error) {
      if (isHooktrailError(error, 'ARCHIVE_NOT_FOUND')) return null
      throw error
    }
  }
}
