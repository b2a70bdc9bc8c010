/** Which class a failed request belongs to: the closed set of core/delivery/sender.ts, from the driver's codes. */
import type { TransportErrorClass } from '../../core/delivery/sender.ts'
import { messageOf } from '../../core/error/message-of.ts'

const CLASS_OF_CODE: Readonly<Record<string, TransportErrorClass>> = {
  ADDRESS_BLOCKED: 'blocked',
  NAME_NOT_RESOLVED: 'dns',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  ECONNREFUSED: 'connect',
  EHOSTUNREACH: 'connect',
  ENETUNREACH: 'connect',
  EADDRNOTAVAIL: 'connect',
  ETIMEDOUT: 'connect',
  UND_ERR_CONNECT_TIMEOUT: 'connect',
  UND_ERR_HEADERS_TIMEOUT: 'timeout',
  UND_ERR_BODY_TIMEOUT: 'timeout',
  EPROTO: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
}

const DETAIL_CHARACTERS_MAX = 200

export function classifyError(error: unknown): { errorClass: TransportErrorClass; detail: string } {
  const code = codeOf(error)
  const detail = messageOf(error).slice(0, DETAIL_CHARACTERS_MAX)
  const errorClass = CLASS_OF_CODE[code] ?? (/^(?:ERR_TLS|ERR_SSL|CERT_)/.test(code) ? 'tls' : 'network')
  return { errorClass, detail: code === '' || detail.includes(code) ? detail : `${code}: ${detail}` }
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  if (typeof error !== 'object' || error === null) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  return 'cause' in error ? codeOf(error.cause) : ''
}
