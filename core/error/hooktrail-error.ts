/**
 * The operational error. `code` comes from the catalogue, which says in four parts what happened, what it means
 * for events, what to do and where to read on; the data of this one case stands in `details`.
 */
import { catalogue, type ErrorCode } from './catalogue.ts'

export class HooktrailError extends Error {
  override readonly name = 'HooktrailError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, details: Record<string, unknown> = {}, cause?: unknown) {
    super(catalogue[code].what, cause === undefined ? undefined : { cause })
    this.code = code
    this.details = details
  }
}

export function isHooktrailError(error: unknown, code?: ErrorCode): error is HooktrailError {
  return error instanceof HooktrailError && (code === undefined || error.code === code)
}
