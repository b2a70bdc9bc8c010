/**
 * The archive that a command is given: a folder, or `s3://bucket/prefix` with the credentials, region and endpoint of
 * the environment, under the names that every S3 tool reads. The client of S3 is loaded only for a bucket.
 */
import { openDirectoryForReading } from '../adapters/directory/directory-store.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { requireArchive } from '../core/archive/require-archive.ts'
import { catalogue } from '../core/error/catalogue.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import { CASE_FIX } from './report-error.ts'

const S3_SCHEME = 's3://'
const LOCATION = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/?(.*?)\/?$/
const REQUEST_TIMEOUT_MS = 30_000
const REGION = 'us-east-1'

export const LOCATION_HELP = 'a folder, or s3://bucket/prefix'

/** What has to be closed goes to `opened`. @throws ARCHIVE_NOT_FOUND */
export async function openArchive(location: string, opened: AsyncDisposableStack): Promise<ArchiveStore> {
  const store = await openLocation(location, opened)
  await requireArchive(store)
  return store
}

/** As openArchive, also for what is damaged so that it no longer looks like one. */
export function openLocation(location: string, opened: AsyncDisposableStack): Promise<ArchiveStore> {
  return location.startsWith(S3_SCHEME) ? openBucket(location, opened) : openDirectoryForReading(location)
}

async function openBucket(location: string, opened: AsyncDisposableStack): Promise<ArchiveStore> {
  const [, bucket, prefix] = LOCATION.exec(location) ?? []
  if (bucket === undefined || prefix === undefined)
    throw new HooktrailError('ARCHIVE_NOT_FOUND', { location, reason: 'it is not s3://bucket/prefix' })
  const { env } = process
  const endpoint = env['AWS_ENDPOINT_URL_S3'] ?? env['AWS_ENDPOINT_URL'] ?? null
  const { openS3ForReading } = await import('../adapters/s3/s3-store.ts')
  const opening = openS3ForReading({
    ...{ bucket, prefix, endpoint, kmsKey: null, storageClass: null, ca: null, credentials: null },
    region: env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? REGION,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    clock: systemClock,
    logger: createLogger(),
  })
  return opened.use(await opening.catch((error: unknown) => failAt(endpoint, error)))
}

/** Without an endpoint Amazon was asked, which is what somebody with another store forgets. */
function failAt(endpoint: string | null, error: unknown): never {
  if (endpoint !== null || !isHooktrailError(error)) throw error
  const fix = `${catalogue[error.code].fix}; a store other than Amazon's is named by AWS_ENDPOINT_URL_S3, which is not set`
  throw new HooktrailError(error.code, { ...error.details, [CASE_FIX]: fix }, error.cause)
}
