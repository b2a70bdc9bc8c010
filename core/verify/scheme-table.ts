/**
 * How providers sign, as data: one row a scheme. What a row can say needs no code; a new provider is a new row. Sources:
 * docs.stripe.com/webhooks/signature, docs.github.com "Validating webhook deliveries", the Standard Webhooks
 * specification; each row is held against the provider's own package in test/unit/verify-*.
 */
import type { Encoding, HmacConfig, VerifyConfig } from '../config/config.ts'
import type { EvidenceClass } from '../record/event-record.ts'

/** Headers of one signature, lower case. A scheme with aliases has several such families. */
export interface HeaderFamily {
  readonly signature: string
  readonly timestamp: string | null
  readonly id: string | null
}

/**
 * Where a value comes from: the id that the signature covers, a header, or an RFC 9535 path into the body; `suffix` is a
 * path whose text is added after a dot.
 */
export type FieldSource =
  | { readonly from: 'signed-id' }
  | { readonly from: 'header'; readonly name: string; readonly suffix?: string }
  | { readonly from: 'body'; readonly path: string }

export interface Scheme {
  readonly name: string
  readonly class: EvidenceClass
  readonly families: readonly HeaderFamily[]
  /** Between several signatures in one header; null: the value is one signature. */
  readonly separator: string | null
  /** What a candidate begins with; others are ignored (other versions of the scheme). */
  readonly prefix: string
  /** Prefix of the time within the signature header, where it stands there. */
  readonly timestampPrefix: string | null
  readonly algorithm: 'sha1' | 'sha256' | 'sha512'
  readonly encoding: Encoding
  /** Template of the signed content with {timestamp}, {id} and {body}. */
  readonly signed: string
  /** `base64`: the key is what follows an optional `whsec_`, decoded. */
  readonly secret: 'text' | 'base64'
  readonly toleranceSeconds: number | null
  /** Also refuse times that lie ahead by more than the tolerance. */
  readonly futureChecked: boolean
  readonly dedup: FieldSource | null
  readonly type: FieldSource | null
}

const BASE = {
  class: 'shared-secret',
  separator: null,
  prefix: '',
  timestampPrefix: null,
  algorithm: 'sha256',
  encoding: 'hex',
  signed: '{body}',
  secret: 'text',
  toleranceSeconds: null,
  futureChecked: true,
  dedup: null,
  type: null,
} as const satisfies Partial<Scheme>

const schemes = {
  github: {
    ...BASE,
    name: 'github',
    families: [{ signature: 'x-hub-signature-256', timestamp: null, id: null }],
    prefix: 'sha256=',
    dedup: { from: 'header', name: 'x-github-delivery' },
    type: { from: 'header', name: 'x-github-event', suffix: '$.action' },
  },
  stripe: {
    ...BASE,
    name: 'stripe',
    families: [{ signature: 'stripe-signature', timestamp: null, id: null }],
    separator: ',',
    prefix: 'v1=',
    timestampPrefix: 't=',
    signed: '{timestamp}.{body}',
    toleranceSeconds: 300,
    futureChecked: false,
    dedup: { from: 'body', path: '$.id' },
    type: { from: 'body', path: '$.type' },
  },
  'standard-webhooks': {
    ...BASE,
    name: 'standard-webhooks',
    families: ['webhook', 'svix'].map((family) => ({
      signature: `${family}-signature`,
      timestamp: `${family}-timestamp`,
      id: `${family}-id`,
    })),
    separator: ' ',
    prefix: 'v1,',
    encoding: 'base64',
    signed: '{id}.{timestamp}.{body}',
    secret: 'base64',
    toleranceSeconds: 300,
    dedup: { from: 'signed-id' },
    type: { from: 'body', path: '$.type' },
  },
} as const satisfies Record<string, Scheme>

/** The row for a source's configuration, or null for scheme `none`. */
export function schemeOf(verify: VerifyConfig): Scheme | null {
  switch (verify.scheme) {
    case 'none':
      return null
    case 'hmac':
      return verify.hmac && withTolerance(genericScheme(verify.hmac), verify)
    case 'github':
    case 'stripe':
    case 'standard-webhooks':
      return withTolerance(schemes[verify.scheme], verify)
  }
  verify.scheme satisfies never
  return null
}

function withTolerance(scheme: Scheme, { toleranceSeconds }: VerifyConfig): Scheme {
  return toleranceSeconds === null ? scheme : { ...scheme, toleranceSeconds }
}

function genericScheme(hmac: HmacConfig): Scheme {
  const lower = (name: string | null): string | null => (name === null ? null : name.toLowerCase())
  return {
    ...BASE,
    name: 'hmac',
    families: [
      {
        signature: hmac.header.toLowerCase(),
        timestamp: lower(hmac.timestampHeader),
        id: lower(hmac.idHeader),
      },
    ],
    prefix: hmac.prefix,
    algorithm: hmac.algorithm,
    encoding: hmac.encoding,
    signed: hmac.signed,
    dedup: hmac.idHeader === null ? null : { from: 'signed-id' },
  }
}
