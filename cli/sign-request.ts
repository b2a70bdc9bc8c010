/** Signs a payload as a sender of the source would, from the same row of the scheme table that verifies it. */
import { createSecretKey } from 'node:crypto'
import type { SourceConfig } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { schemeOf, type Scheme } from '../core/verify/scheme-table.ts'
import { compileTemplate, hmacOf } from '../core/verify/signed-content.ts'

export interface SigningRequest {
  readonly body: Buffer
  readonly id: string
  readonly nowSeconds: number
  /** Of the event, where a header says it. */
  readonly type: string
}

/** @throws INGRESS_SECRET_INVALID */
export function signedHeaders(source: SourceConfig, request: SigningRequest): Record<string, string> {
  const scheme = schemeOf(source.verify)
  if (scheme === null) return {}
  const family = scheme.families[0]
  const secret = source.secrets[0]
  if (family === undefined || secret === undefined)
    throw new HooktrailError('INGRESS_SECRET_INVALID', { source: source.name })
  const timestamp = String(request.nowSeconds)
  const template = compileTemplate(scheme.signed)
  const key = keyOf(secret, scheme)
  const digest = hmacOf({ algorithm: scheme.algorithm, key, template }, { ...request, timestamp })
  const beside = scheme.timestampPrefix === null ? '' : `${scheme.timestampPrefix}${timestamp},`
  return {
    [family.signature]: `${beside}${scheme.prefix}${digest.toString(scheme.encoding)}`,
    ...(family.timestamp === null ? {} : { [family.timestamp]: timestamp }),
    ...(family.id === null ? {} : { [family.id]: request.id }),
    ...(scheme.type?.from === 'header' ? { [scheme.type.name]: request.type } : {}),
  }
}

function keyOf(secret: string, scheme: Scheme) {
  if (scheme.secret === 'text') return createSecretKey(secret, 'utf8')
  return createSecretKey(secret.replace(/^whsec_/, ''), 'base64')
}
