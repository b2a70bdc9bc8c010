/**
 * The archive that a command is given: a folder, or `s3://bucket/prefix` with the credentials, region and endpoint of
 * the environment, under the names that every S3 tool reads. The client of S3 is loaded only for a bucket.
 */
import { openDirectoryForReading } from '../adapters/directory/directory-store.ts'
import type { S3StoreOptions } from '../adapters/s3/s3-store.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { readPublicKeys } from '../adapters/system/key-files.ts'
import { believedKeys } from '../core/archive/key/read-key-chain.ts'
import type { ArchiveSource } from '../core/archive/range/find-segment.ts'
import { requireArchive } from '../core/archive/require-archive.ts'
import { S3_REGION } from '../core/config/build-services.ts'
import { catalogue } from '../core/error/catalogue.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import { CASE_FIX } from './report-error.ts'

const S3_SCHEME = 's3://'
const LOCATION = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\/?(.*?)\/?$/
const ENDPOINT_NAMES = ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'] as const

export const LOCATION_HELP = 'a folder, or s3://bucket/prefix'

/** What has to be closed goes to `opened`. @throws ARCHIVE_NOT_FOUND */
export async function openArchive(location: string, opened: AsyncDisposableStack): Promise<ArchiveStore> {
  const store = await openLocation(location, opened)
  await requireArchive(store).catch((error: unknown) => failAt(location, error))
  return store
}

/** With the keys that somebody believes who was given those of the file. @throws ARCHIVE_NOT_FOUND, ARCHIVE_OTHER_KEY */
export async function openSource(
  location: string,
  keyFile: string,
  opened: AsyncDisposableStack,
): Promise<ArchiveSource> {
  const pinned = await readPublicKeys(keyFile)
  const store = await openArchive(location, opened)
  return { store, keys: await believedKeys(store, pinned) }
}

/** As openArchive, also for what is damaged so that it no longer looks like one. */
export function openLocation(location: string, opened: AsyncDisposableStack): Promise<ArchiveStore> {
  return location.startsWith(S3_SCHEME) ? openBucket(location, opened) : openDirectoryForReading(location)
}

/** @throws ARCHIVE_NOT_FOUND */
export function parseLocation(location: string): { readonly bucket: string; readonly prefix: string } {
  const place = placeIn(location)
  if (place !== null) return place
  const reason = 'it is not s3://bucket/prefix'
  throw new HooktrailError('ARCHIVE_NOT_FOUND', { location, reason, [CASE_FIX]: 'name it like that' })
}

function placeIn(location: string): { readonly bucket: string; readonly prefix: string } | null {
  const [, bucket, prefix] = LOCATION.exec(location) ?? []
  return bucket === undefined || prefix === undefined ? null : { bucket, prefix }
}

/** Credentials are looked for by the SDK, in the same environment. */
export function storeOfEnvironment(): Omit<S3StoreOptions, 'bucket' | 'prefix' | 'clock' | 'logger'> {
  const { env } = process
  return {
    ...{ kmsKey: null, storageClass: null, ca: null, credentials: null },
    endpoint: endpointIn(env)?.url ?? null,
    region: env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? S3_REGION,
  }
}

/** Null when it is no bucket. */
export function bucketOptions(location: string): S3StoreOptions | null {
  const place = placeIn(location)
  return place && { ...storeOfEnvironment(), ...place, clock: systemClock, logger: createLogger() }
}

async function openBucket(location: string, opened: AsyncDisposableStack): Promise<ArchiveStore> {
  const options = { ...storeOfEnvironment(), ...parseLocation(location) }
  const { openS3ForReading } = await import('../adapters/s3/s3-store.ts')
  const opening = openS3ForReading({ ...options, clock: systemClock, logger: createLogger() })
  return opened.use(await opening.catch((error: unknown) => failAt(location, error)))
}

/** The endpoint of the environment, under the names that every S3 tool reads. */
function endpointIn(env: NodeJS.ProcessEnv): { readonly name: string; readonly url: string } | null {
  for (const name of ENDPOINT_NAMES) {
    const url = env[name]
    if (url !== undefined) return { name, url }
  }
  return null
}

/** Which store was asked is what people get wrong: without an endpoint it was Amazon. */
function failAt(location: string, error: unknown): never {
  if (!location.startsWith(S3_SCHEME) || !isHooktrailError(error)) throw error
  const endpoint = endpointIn(process.env)
  const store =
    endpoint === null
      ? "a store other than Amazon's is named by AWS_ENDPOINT_URL_S3, which is not set"
      : `the store that was asked is the one of ${endpoint.name}, ${endpoint.url}`
  const fix =
    error.code === 'ARCHIVE_NOT_FOUND'
      ? 'name the bucket, and the prefix in it, that hold genesis.note: s3://bucket/prefix'
      : catalogue[error.code].fix
  throw new HooktrailError(error.code, { ...error.details, [CASE_FIX]: `${fix}; ${store}` }, error.cause)
}
