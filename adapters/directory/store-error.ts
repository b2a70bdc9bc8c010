/** What the file system's errors mean for the archive store. */
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

export function storeError(error: unknown, key: string): HooktrailError {
  if (isHooktrailError(error)) return error
  const errno = errnoOf(error)
  const code = errno !== null && FULL.has(errno) ? 'ARCHIVE_STORE_FULL' : 'ARCHIVE_STORE_UNAVAILABLE'
  return new HooktrailError(code, { key, errno }, error)
}

export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  return typeof error.code === 'string' ? error.code : null
}

/** True for "no such file", also when a part of the path is a file. */
export function isMissing(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR'
}
