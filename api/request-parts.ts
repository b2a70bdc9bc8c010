/** What routes have in common: the reason of an operator, filters without what was not asked for, and 404s. */
import type { Config } from '../core/config/config.ts'
import type { ErrorCode } from '../core/error/catalogue.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import * as query from './query.ts'

/** @throws API_INVALID_REQUEST, API_REASON_REQUIRED */
export function reasonOf(body: unknown, config: Config): string | null {
  return requiredReason(query.parse(query.reasonBody, body)?.reason, config)
}

/** @throws API_REASON_REQUIRED */
export function requiredReason(reason: string | undefined, { api }: Config): string | null {
  if (reason === undefined && api.requireReason) throw new HooktrailError('API_REASON_REQUIRED')
  return reason ?? null
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
}

/** Without the keys whose value is undefined. */
export function defined<T extends object>(value: T): Defined<T>
export function defined(value: object): object {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined))
}

/** @throws `code` */
export function found<T>(value: T | null, code: ErrorCode, id: string): T {
  if (value === null) throw new HooktrailError(code, { id })
  return value
}
