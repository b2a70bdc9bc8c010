/**
 * What is kept of a refused request: enough to see who sends what, and nothing with which a stranger could fill a
 * locked bucket or leave a secret there. Allow-listed headers cut short, no query, no body.
 */
import type { EncodedEvent } from './encode-event.ts'
import type { HeaderPairs } from '../verify/header-values.ts'

const HEADER_BYTES_MAX = 128
const HEADERS_MAX = 12
const ALLOWED_HEADERS = new Set([
  'host',
  'user-agent',
  'content-type',
  'content-length',
  'x-github-event',
  'x-github-delivery',
  'x-github-hook-id',
  'webhook-id',
  'webhook-timestamp',
  'svix-id',
  'ce-id',
  'ce-type',
])

export type RejectionReason = 'signature' | 'size' | 'schema'

export interface Rejection {
  readonly id: string
  readonly source: string
  readonly reason: RejectionReason
  /** Stable code of the answer, what the signature lacked, or why the schema was missed and what it asks for. */
  readonly detail: string
  readonly receivedAtMs: number
  readonly clientIp: string
  /** Bytes of the body that were read. */
  readonly sizeBytes: number
  readonly headers: HeaderPairs
  /** Rejections of this source that were not recorded since the last one that was. */
  readonly leftOut: number
}

export function encodeRejection(rejection: Rejection): EncodedEvent {
  const value = {
    id: rejection.id,
    source: rejection.source,
    reason: rejection.reason,
    detail: rejection.detail,
    rejected_at: new Date(rejection.receivedAtMs).toISOString(),
    client_ip: rejection.clientIp,
    size_bytes: rejection.sizeBytes,
    headers: allowedHeaders(rejection.headers),
    left_out: rejection.leftOut,
  }
  return {
    key: Buffer.from(rejection.source),
    value: Buffer.from(JSON.stringify(value)),
    headers: [{ name: 'content-type', value: Buffer.from('application/json') }],
  }
}

function allowedHeaders(headers: HeaderPairs): (readonly [string, string])[] {
  return headers
    .filter(([name]) => ALLOWED_HEADERS.has(name.toLowerCase()))
    .slice(0, HEADERS_MAX)
    .map(([name, value]) => [name, value.slice(0, HEADER_BYTES_MAX)])
}
