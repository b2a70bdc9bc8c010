/**
 * What one event is, before it becomes a log record and after it is read back. CloudEvents 1.0 Kafka binding,
 * binary mode: the record's value is the raw body (I2), everything else is a header.
 * encode: core/record/encode-event.ts, decode: core/record/decode-event.ts.
 */

/** Names of the record headers, in the order in which they are written. */
export const EVENT_HEADERS = {
  specVersion: 'ce_specversion',
  id: 'ce_id',
  source: 'ce_source',
  type: 'ce_type',
  time: 'ce_time',
  subject: 'ce_subject',
  contentType: 'content-type',
  traceparent: 'traceparent',
  dedup: 'ht_dedup',
  cloudEvent: 'ht_ce',
  request: 'ht_request',
  evidence: 'ht_evidence',
  schema: 'ht_schema',
  decoded: 'ht_decoded',
} as const

export type EvidenceClass = 'public-key' | 'shared-secret' | 'bearer' | 'network' | 'none'

/** With the stored bytes this is enough to verify again later. JSON in ht_evidence. */
export interface Evidence {
  readonly version: 1
  /** Row of the scheme table: `github`, `stripe`, `standard-webhooks`, `hmac`, `none`. */
  readonly scheme: string
  readonly class: EvidenceClass
  /** Keyed fingerprint of the secret that matched (core/record/keyed-digest.ts); null for class none. */
  readonly secretId: string | null
  /** Signature values as received, by header name. */
  readonly signatures: Readonly<Record<string, string>>
  /** The signed time as received, where the scheme has one. */
  readonly signedTimestamp: string | null
  readonly toleranceSeconds: number | null
  /** Configuration generation that verified it. */
  readonly generation: string
}

/** A body as JSON text beside it: what a record has room for. */
export const DECODED_BYTES_MAX = 1024 * 1024

export const SCHEMA_RESULTS = ['fits', 'misfit', 'unchecked'] as const

/** How the body fared against the schema of its source. JSON in ht_schema. */
export interface SchemaEvidence {
  readonly subject: string
  /** Of the registry; null: no schema was at hand. */
  readonly schemaId: number | null
  readonly result: (typeof SCHEMA_RESULTS)[number]
  /** Why it is not `fits`: a word of a closed set (docs/schemas.md); null where it is. */
  readonly reason: string | null
}

/** JSON in ht_request. Credentials are replaced by `hmac-sha256:<hex>` under digest_key. */
export interface RequestEvidence {
  readonly method: string
  readonly path: string
  /** Redacted query string without the question mark; empty when there was none. */
  readonly query: string
  readonly clientIp: string
  /** All request headers in order as received, names as received. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

export interface EventRecord {
  /** Our ULID. For a foreign record: derived from (topic id, partition, offset, timestamp). */
  readonly id: string
  /** Configured name of the source. */
  readonly source: string
  readonly type: string
  readonly subject: string | null
  /** Time of receipt, milliseconds since the epoch (ce_time, = created_at in API and export). */
  readonly receivedAtMs: number
  readonly contentType: string | null
  readonly traceparent: string | null
  readonly dedupKey: string | null
  /** The sender's own CloudEvents attributes, if it sent any. */
  readonly cloudEvent: Readonly<Record<string, string>> | null
  readonly request: RequestEvidence | null
  readonly evidence: Evidence | null
  /** Null: the source has no schema. */
  readonly schema: SchemaEvidence | null
  /** The body as JSON text, where its source decodes it; the body stays what was received. */
  readonly decoded: string | null
  readonly body: Buffer
  /** Ordering key: decides the partition. Default the dedup key, else the event id. */
  readonly orderingKey: string
}
