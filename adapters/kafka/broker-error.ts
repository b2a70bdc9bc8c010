/**
 * What went wrong at a broker, in our words. The client wraps its failures several deep and gives each Kafka error by
 * name (`NOT_LEADER_OR_FOLLOWER`); callers of the log get to see catalogue errors only.
 */
import { AuthenticationError, GenericError, protocolErrorsCodesById } from '@platformatic/kafka'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'

/** An error that a broker answered to one of our own requests. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly apiId: string

  constructor(errorCode: number) {
    const apiId = errorNameOf(errorCode)
    super(`the broker answered ${apiId}`)
    this.apiId = apiId
  }
}

const NESTED_MAX = 8
const DENIED =
  /_AUTHORIZATION_FAILED$|^SASL_AUTHENTICATION_FAILED$|^UNSUPPORTED_SASL_MECHANISM$|^ILLEGAL_SASL_STATE$/

export function errorNameOf(errorCode: number): string {
  return protocolErrorsCodesById[errorCode] ?? `ERROR_${errorCode}`
}

/** The names of all Kafka errors inside, outermost first. */
export function brokerErrorsOf(error: unknown, depth = 0): readonly string[] {
  if (!(error instanceof Error) || depth > NESTED_MAX) return []
  const inside: readonly unknown[] = error instanceof AggregateError ? error.errors : []
  const own = 'apiId' in error && typeof error.apiId === 'string' ? [error.apiId] : []
  return [...own, ...[...inside, error.cause].flatMap((each) => brokerErrorsOf(each, depth + 1))]
}

export async function asLogError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw toLogError(error)
  }
}

/** LOG_REFUSED where credentials or rights are missing, else LOG_UNAVAILABLE; what is not Kafka's stays as it is. */
export function toLogError(error: unknown): unknown {
  if (isHooktrailError(error) || !isBrokerFailure(error)) return error
  const names = brokerErrorsOf(error)
  const refused = names.some((name) => DENIED.test(name)) || isAuthenticationError(error, 0)
  return new HooktrailError(
    refused ? 'LOG_REFUSED' : 'LOG_UNAVAILABLE',
    { reason: names[0] ?? innermost(error, 0).message },
    error,
  )
}

/** A failure of a broker or of the way to it, as opposed to a defect in this program. */
export function isBrokerFailure(error: unknown): error is Error {
  return error instanceof BrokerError || (error instanceof Error && GenericError.isGenericError(error))
}

function isAuthenticationError(error: unknown, depth: number): boolean {
  if (!(error instanceof Error) || depth > NESTED_MAX) return false
  const inside: readonly unknown[] = error instanceof AggregateError ? error.errors : []
  return (
    error instanceof AuthenticationError ||
    [...inside, error.cause].some((each) => isAuthenticationError(each, depth + 1))
  )
}

function innermost(error: Error, depth: number): Error {
  const inside: readonly unknown[] = error instanceof AggregateError ? error.errors : []
  const next = inside[0] ?? error.cause
  return next instanceof Error && depth < NESTED_MAX ? innermost(next, depth + 1) : error
}
