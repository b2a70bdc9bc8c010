/** What a failed step means: try again, or halt because two histories exist and only a person can tell which is right. */
import type { ErrorCode } from '../core/error/catalogue.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'

const HALTING: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ARCHIVE_CHAIN_BEHIND',
  'ARCHIVE_CHAIN_BROKEN',
  'ARCHIVE_DIFFERS',
  'ARCHIVE_DOCUMENT_INVALID',
  'ARCHIVE_FORK',
  'ARCHIVE_NOTE_INVALID',
  'ARCHIVE_ROW_INVALID',
])

const RETRY_MS_MIN = 500
const RETRY_MS_MAX = 30_000

export function haltsPartition(error: unknown): boolean {
  return isHooktrailError(error) && HALTING.has(error.code)
}

/** Doubles from half a second to half a minute. */
export function retryDelayMs(failures: number): number {
  return Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(failures - 1, 10))
}
