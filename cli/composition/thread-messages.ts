/**
 * What the main thread and the services' thread say to each other. Everything here survives structured cloning; a
 * HooktrailError is taken apart and made again, since cloning would keep only its text.
 */
import { inspect } from 'node:util'
import type { ServicesReport } from '../../api/health-routes.ts'
import type { Config } from '../../core/config/config.ts'
import type { ErrorCode } from '../../core/error/catalogue.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { LocalPostgres } from './context.ts'
import type { StoreServiceName } from './store-services.ts'
import { messageOf } from '../../core/error/message-of.ts'

export interface ThreadInput {
  readonly config: Config
  readonly home: string
  readonly names: readonly StoreServiceName[]
  readonly serves: readonly string[] | null
  readonly connectionsMax: number
  readonly processId: string
  readonly postgres: LocalPostgres | null
}

export type ToThread =
  | { readonly kind: 'start'; readonly input: ThreadInput }
  | { readonly kind: 'report'; readonly id: number }
  | { readonly kind: 'stop' }

export type FromThread =
  | { readonly kind: 'started' }
  | { readonly kind: 'failed'; readonly error: PortableError }
  | { readonly kind: 'report'; readonly id: number; readonly report: ServicesReport }

export interface PortableError {
  /** Null for an error that is not in the catalogue. */
  readonly code: ErrorCode | null
  readonly details: Readonly<Record<string, unknown>>
  readonly message: string
  readonly stack: string | null
}

export function toPortable(error: unknown): PortableError {
  const message = messageOf(error)
  const stack = error instanceof Error ? (error.stack ?? null) : null
  if (!isHooktrailError(error)) return { code: null, details: {}, message, stack }
  const details = Object.entries(error.details).map(([name, value]) => [name, cloneable(value)] as const)
  return { code: error.code, details: Object.fromEntries(details), message, stack }
}

export function fromPortable({ code, details, message, stack }: PortableError): Error {
  const error = code === null ? new Error(message) : new HooktrailError(code, { ...details })
  if (stack !== null) error.stack = stack
  return error
}

function cloneable(value: unknown): unknown {
  return typeof value === 'object' || typeof value === 'function' ? inspect(value) : value
}
