/**
 * Verifies one source's requests on the raw bytes, before anything parses them: every candidate signature against every
 * configured secret, in constant time. The evidence that it returns is, with the stored bytes, enough to verify again.
 */
import { createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto'
import type { SourceConfig } from '../config/config.ts'
import { HooktrailError } from '../error/hooktrail-error.ts'
import type { Evidence } from '../record/event-record.ts'
import { keyedDigest } from '../record/keyed-digest.ts'
import { headerValue, headerValues, type HeaderPairs } from './header-values.ts'
import { schemeOf, type HeaderFamily, type Scheme } from './scheme-table.ts'
import { splitSignatures } from './signature-candidates.ts'
import { compileTemplate, hmacOf, needsId, needsTimestamp, type SignedTemplate } from './signed-content.ts'
import { isInTime, signedSeconds } from './signed-time.ts'

export type RefusalReason =
  'missing_signature' | 'malformed_signature' | 'bad_signature' | 'timestamp_out_of_tolerance'

export type Verification =
  /** `signedId`: the id that the scheme carries, if it carries one. */
  | { readonly ok: true; readonly evidence: Evidence; readonly signedId: string | null }
  | { readonly ok: false; readonly reason: RefusalReason }

export interface VerifyRequest {
  /** In order as received. */
  readonly headers: HeaderPairs
  readonly body: Buffer
  readonly nowMs: number
}

export interface Verifier {
  verify(request: VerifyRequest): Verification
}

export interface VerifierDeps {
  readonly digestKey: KeyObject
  readonly generation: string
}

interface Secret {
  readonly id: string
  readonly key: KeyObject
}

/** @throws INGRESS_SECRET_INVALID when a secret does not have the scheme's shape, or none is there. */
export function createVerifier(source: SourceConfig, deps: VerifierDeps): Verifier {
  const scheme = schemeOf(source.verify)
  if (scheme === null) {
    if (source.verify.scheme !== 'none')
      throw new HooktrailError('INGRESS_SECRET_INVALID', { source: source.name })
    return openVerifier(deps.generation)
  }
  const secrets = source.secrets.map((secret) => ({
    id: keyedDigest(deps.digestKey, secret),
    key: secretKey(secret, scheme, source.name),
  }))
  if (secrets.length === 0) throw new HooktrailError('INGRESS_SECRET_INVALID', { source: source.name })
  return new HmacVerifier(scheme, secrets, deps.generation)
}

function openVerifier(generation: string): Verifier {
  const evidence: Evidence = {
    version: 1,
    scheme: 'none',
    class: 'none',
    secretId: null,
    signatures: {},
    signedTimestamp: null,
    toleranceSeconds: null,
    generation,
  }
  const answer: Verification = { ok: true, evidence, signedId: null }
  return { verify: () => answer }
}

const BASE64_SECRET = /^(?:whsec_)?([A-Za-z0-9+/]+={0,2})$/

function secretKey(secret: string, scheme: Scheme, source: string): KeyObject {
  if (secret === '') throw new HooktrailError('INGRESS_SECRET_INVALID', { source })
  if (scheme.secret === 'text') return createSecretKey(secret, 'utf8')
  const encoded = BASE64_SECRET.exec(secret)?.[1]
  if (encoded === undefined) throw new HooktrailError('INGRESS_SECRET_INVALID', { source })
  return createSecretKey(encoded, 'base64')
}

class HmacVerifier implements Verifier {
  readonly #scheme: Scheme
  readonly #secrets: readonly Secret[]
  readonly #generation: string
  readonly #template: SignedTemplate

  constructor(scheme: Scheme, secrets: readonly Secret[], generation: string) {
    this.#scheme = scheme
    this.#secrets = secrets
    this.#generation = generation
    this.#template = compileTemplate(scheme.signed)
  }

  verify({ headers, body, nowMs }: VerifyRequest): Verification {
    const scheme = this.#scheme
    const family = familyOf(headers, scheme)
    if (family === undefined) return refuse('missing_signature')
    const values = headerValues(headers, family.signature)
    const { candidates, timestamp: beside } = splitSignatures(values, scheme)
    const timestamp = family.timestamp === null ? beside : headerValue(headers, family.timestamp)
    const id = family.id === null ? null : headerValue(headers, family.id)
    const seconds = timestamp === null ? null : signedSeconds(timestamp)
    const incomplete =
      (needsTimestamp(this.#template) && timestamp === null) || (needsId(this.#template) && id === null)
    const timeless = scheme.toleranceSeconds !== null && hasTime(family, scheme) && seconds === null
    if (candidates.length === 0 || incomplete || timeless) return refuse('malformed_signature')

    const secret = this.#match(candidates, { timestamp: timestamp ?? '', id: id ?? '', body })
    if (secret === undefined) return refuse('bad_signature')
    const { toleranceSeconds, futureChecked } = scheme
    if (
      toleranceSeconds !== null &&
      seconds !== null &&
      !isInTime(seconds, nowMs, { toleranceSeconds, futureChecked })
    )
      return refuse('timestamp_out_of_tolerance')
    return {
      ok: true,
      signedId: id,
      evidence: {
        version: 1,
        scheme: scheme.name,
        class: scheme.class,
        secretId: secret.id,
        signatures: { [family.signature]: values.join(', ') },
        signedTimestamp: timestamp,
        toleranceSeconds,
        generation: this.#generation,
      },
    }
  }

  /** Every secret, one HMAC each; every candidate against it. */
  #match(
    candidates: readonly Buffer[],
    parts: { timestamp: string; id: string; body: Buffer },
  ): Secret | undefined {
    const { algorithm } = this.#scheme
    return this.#secrets.find(({ key }) => {
      const expected = hmacOf({ algorithm, key, template: this.#template }, parts)
      return candidates.some((candidate) => timingSafeEqual(candidate, expected))
    })
  }
}

function familyOf(headers: HeaderPairs, { families }: Scheme): HeaderFamily | undefined {
  return families.find(({ signature }) => headerValue(headers, signature) !== null)
}

function hasTime(family: HeaderFamily, scheme: Scheme): boolean {
  return family.timestamp !== null || scheme.timestampPrefix !== null
}

function refuse(reason: RefusalReason): Verification {
  return { ok: false, reason }
}
