/**
 * The archive that the configuration names, a folder or a bucket: for the archiver, which may make it, and for the API,
 * which only reads and opens it when it is asked, since an archiver may make it later. The client of S3 is loaded only
 * where it is used.
 */
import { join } from 'node:path'
import { openDirectoryForReading, openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import type { S3StoreOptions } from '../../adapters/s3/s3-store.ts'
import type { S3Config } from '../../core/config/config.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import type { Context } from './context.ts'

const REQUEST_TIMEOUT_MS = 30_000

/** What has to be closed goes to `opened`. */
export async function openArchiveStore(
  context: Context,
  opened: AsyncDisposableStack,
): Promise<ArchiveStore> {
  const { s3 } = context.config.archive
  if (s3 === null) return openDirectoryStore(folderOf(context), context)
  const { openS3Store } = await import('../../adapters/s3/s3-store.ts')
  return opened.use(openS3Store(s3Options(context, s3)))
}

/** Resolves with null while there is no archive, or where this process cannot see it. */
export function archiveReader(
  context: Context,
  opened: AsyncDisposableStack,
): () => Promise<ArchiveStore | null> {
  const { s3 } = context.config.archive
  if (s3 === null) return () => unlessAbsent(openDirectoryForReading(folderOf(context)))
  let bucket: ArchiveStore | null = null
  return async () => {
    const { openS3ForReading } = await import('../../adapters/s3/s3-store.ts')
    bucket ??= await unlessAbsent(openS3ForReading(s3Options(context, s3)).then((store) => opened.use(store)))
    return bucket
  }
}

async function unlessAbsent<T>(opening: Promise<T>): Promise<T | null> {
  try {
    return await opening
  } catch (error) {
    if (isHooktrailError(error, 'ARCHIVE_NOT_FOUND')) return null
    throw error
  }
}

function folderOf({ config, home }: Context): string {
  return config.archive.directory ?? join(home, 'archive')
}

function s3Options({ clock, logger }: Context, s3: S3Config): S3StoreOptions {
  return { ...s3, requestTimeoutMs: REQUEST_TIMEOUT_MS, clock, logger }
}
