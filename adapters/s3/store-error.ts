/**
 * What a failed request means for the archive store: which error of the catalogue it is, and whether the same request
 * may be sent again at once. Names are S3's error codes; a HEAD has none, so its status must do.
 */
import { S3ServiceException } from '@aws-sdk/client-s3'
import type { ErrorCode } from '../../core/error/catalogue.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'

const CODES: ReadonlyMap<string, ErrorCode> = new Map<string, ErrorCode>([
  ['BadDigest', 'ARCHIVE_DIGEST_MISMATCH'],
  ['InvalidDigest', 'ARCHIVE_DIGEST_MISMATCH'],
  ['XAmzContentSHA256Mismatch', 'ARCHIVE_DIGEST_MISMATCH'],
  ['XAmzContentChecksumMismatch', 'ARCHIVE_DIGEST_MISMATCH'],
  ['EntityTooLarge', 'ARCHIVE_OBJECT_TOO_LARGE'],
  ['QuotaExceeded', 'ARCHIVE_STORE_FULL'],
  ['InsufficientStorage', 'ARCHIVE_STORE_FULL'],
  ['XMinioStorageFull', 'ARCHIVE_STORE_FULL'],
  ['InvalidAccessKeyId', 'ARCHIVE_CREDENTIALS_REFUSED'],
  ['SignatureDoesNotMatch', 'ARCHIVE_CREDENTIALS_REFUSED'],
  ['ExpiredToken', 'ARCHIVE_CREDENTIALS_REFUSED'],
  ['InvalidToken', 'ARCHIVE_CREDENTIALS_REFUSED'],
  ['CredentialsProviderError', 'ARCHIVE_CREDENTIALS_MISSING'],
  ['NoSuchBucket', 'ARCHIVE_BUCKET_MISSING'],
  ['PermanentRedirect', 'ARCHIVE_REGION_WRONG'],
  ['AuthorizationHeaderMalformed', 'ARCHIVE_REGION_WRONG'],
  ['IllegalLocationConstraintException', 'ARCHIVE_REGION_WRONG'],
])

const CODES_BY_STATUS: ReadonlyMap<number | null, ErrorCode> = new Map<number | null, ErrorCode>([
  [301, 'ARCHIVE_REGION_WRONG'],
  [401, 'ARCHIVE_CREDENTIALS_REFUSED'],
  [403, 'ARCHIVE_STORE_DENIED'],
  [413, 'ARCHIVE_OBJECT_TOO_LARGE'],
  [507, 'ARCHIVE_STORE_FULL'],
])

const TRANSIENT_STATUSES: ReadonlySet<number | null> = new Set([429, 500, 502, 503, 504])
const TRANSIENT_NAMES: ReadonlySet<string> = new Set([
  // Of two conditional writes of one key at once AWS refuses one before it is known whether the other lands.
  'ConditionalRequestConflict',
  'OperationAborted',
  'RequestTimeout',
  // The client has set its clock by the answer.
  'RequestTimeTooSkewed',
  // The connection was not made in time.
  'TimeoutError',
])
const TRANSIENT_ERRNOS: ReadonlySet<string | null> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
])

/** These say nothing of the request: it never reached the archive. */
const CODES_OF_PLACE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ARCHIVE_CREDENTIALS_REFUSED',
  'ARCHIVE_CREDENTIALS_MISSING',
  'ARCHIVE_BUCKET_MISSING',
  'ARCHIVE_REGION_WRONG',
])

const WITHOUT_LOCK: ReadonlySet<string> = new Set([
  'NoSuchObjectLockConfiguration',
  'ObjectLockConfigurationNotFoundError',
  'ObjectLockConfigurationNotFound',
  'InvalidBucketObjectLockConfiguration',
  'InvalidRequest',
])

const REASON_CHARACTERS_MAX = 300

export interface FailedCall {
  /** Empty where the whole archive was asked for. */
  readonly key: string
  /** Where it was asked, for people; absent where an answer breaks off. */
  readonly store?: string
  /** Where the call's own deadline ended it. */
  readonly timedOutAfterMs?: number | undefined
}

export function storeError(error: unknown, call: FailedCall): HooktrailError {
  const { timedOutAfterMs, key, ...store } = call
  const where = key === '' ? store : { key, ...store }
  if (isHooktrailError(error)) return error
  const status = statusOf(error)
  const code = CODES.get(nameOf(error)) ?? CODES_BY_STATUS.get(status) ?? 'ARCHIVE_STORE_UNAVAILABLE'
  if (timedOutAfterMs === undefined)
    return new HooktrailError(code, { ...where, reason: reasonOf(error) }, error)
  const reason = `no answer within ${timedOutAfterMs} ms`
  return new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { ...where, reason }, error)
}

export function isTransient(error: unknown): boolean {
  return (
    TRANSIENT_STATUSES.has(statusOf(error)) ||
    TRANSIENT_NAMES.has(nameOf(error)) ||
    TRANSIENT_ERRNOS.has(errnoOf(error))
  )
}

/** True for an absent key. An absent bucket is told by its name, except to a HEAD. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && nameOf(error) !== 'NoSuchBucket'
}

export function isMissingBucket(error: unknown): boolean {
  return nameOf(error) === 'NoSuchBucket'
}

export function isDenied(error: unknown): boolean {
  return statusOf(error) === 403
}

/** True where the store answered and will not do it, whoever asks again; not where it knows neither bucket nor caller. */
export function isRefusal(error: unknown): boolean {
  const status = statusOf(error)
  if (status === null || isTransient(error)) return false
  const code = CODES.get(nameOf(error))
  if (code !== undefined && CODES_OF_PLACE.has(code)) return false
  return (status >= 400 && status < 500) || status === 501
}

/** Of an object that is there, asked for its lock: true where it has none, the bucket knows none, or the store cannot say. */
export function isWithoutLock(error: unknown): boolean {
  return WITHOUT_LOCK.has(nameOf(error)) || isMissing(error) || statusOf(error) === 501
}

/** Of a bucket that is to be made: true where it is there, and ours. */
export function isTaken(error: unknown): boolean {
  return nameOf(error) === 'BucketAlreadyOwnedByYou'
}

/** True when a conditional create met an object. */
export function isRefusedByCondition(error: unknown): boolean {
  return statusOf(error) === 412
}

function statusOf(error: unknown): number | null {
  return error instanceof S3ServiceException ? (error.$metadata.httpStatusCode ?? null) : null
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : ''
}

function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}

/** What the store, the network or the SDK said, in a line. */
export function reasonOf(error: unknown): string {
  const status = statusOf(error)
  const told = status === null ? (errnoOf(error) ?? nameOf(error)) : `${nameOf(error)} (${status})`
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${told}: ${messageOf(error)}${cause}`.slice(0, REASON_CHARACTERS_MAX)
}
