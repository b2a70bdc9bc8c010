/** The index of an archive: beside it unless another place is named, never in it, where everything is signed. */
import { openDirectoryStore } from '../adapters/directory/directory-store.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import { bucketOptions, openLocation } from './open-archive.ts'

const WHOLE_BUCKET = /^s3:\/\/[^/]+\/?$/

export interface IndexOptions {
  readonly index?: string
}

/** @throws ARCHIVE_INDEX_INVALID where a whole bucket is the archive and no other place is named */
function indexLocation(location: string, { index }: IndexOptions): string {
  if (index !== undefined) return index
  if (WHOLE_BUCKET.test(location))
    throw new HooktrailError('ARCHIVE_INDEX_INVALID', {
      location,
      reason: 'a whole bucket is the archive: name --index',
    })
  return `${location.replace(/\/+$/, '')}-index`
}

/** Empty where there is none. What has to be closed goes to `opened`. */
export async function openIndex(
  location: string,
  options: IndexOptions,
  opened: AsyncDisposableStack,
): Promise<Pick<ArchiveStore, 'read'>> {
  try {
    return await openLocation(indexLocation(location, options), opened)
  } catch (error) {
    if (!isHooktrailError(error, 'ARCHIVE_NOT_FOUND')) throw error
    return { read: () => Promise.resolve(null) }
  }
}

/** What has to be closed goes to `opened`. */
export async function openIndexForWriting(
  location: string,
  options: IndexOptions,
  opened: AsyncDisposableStack,
): Promise<ArchiveStore> {
  const place = indexLocation(location, options)
  const bucket = bucketOptions(place)
  if (bucket === null) return openDirectoryStore(place, { clock: systemClock, logger: createLogger() })
  const { openS3Store } = await import('../adapters/s3/s3-store.ts')
  return opened.use(openS3Store(bucket))
}
