/** What the file system's errors mean for the archive store. */
import type { ErrorCode } from '../../core/error/catalogue.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import { errnoOf } from '../system/errno.ts'

const CODES: ReadonlyMap<string | null, ErrorCode> = new Map<string | null, ErrorCode>([
  ['ENOSPC', 'ARCHIVE_STORE_FULL'],
  ['EDQUOT', 'ARCHIVE_STORE_FULL'],
  ['EFBIG', 'ARCHIVE_STORE_FULL'],
  ['EACCES', 'ARCHIVE_STORE_DENIED'],
  ['EPERM', 'ARCHIVE_STORE_DENIED'],
  ['EROFS', 'ARCHIVE_STORE_DENIED'],
])

export function storeError(error: unknown, key: string): HooktrailError {
  if (isHooktrailError(error)) return error
  const errno = errnoOf(error)
  const details = { key, errno, reason: messageOf(error) }
  return new HooktrailError(CODES.get(errno) ?? 'ARCHIVE_STORE_UNAVAILABLE', details, error)
}

/** True for "no such file", also when a part of the path is a file. */
export function isMissing(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR'
}
