/**
 * Port: where the schemas of sources come from, and what a schema says of a payload. Looking one up asks a server and is
 * never done for a payload whose schema is known; checking and decoding ask nobody and never throw, whatever the bytes.
 */

/** Why a body does not fit. A closed set: it stands in answers, rejections and records. */
export type MisfitReason =
  | 'not_json'
  /** No magic byte and schema id in front. */
  | 'not_framed'
  /** The subject has no version with this id. */
  | 'unknown_schema'
  | 'does_not_fit'
  /** As JSON it is larger than a record may hold beside the body. */
  | 'decoded_too_large'

export interface Misfit {
  readonly reason: MisfitReason
  /** Where in the payload, as a JSON pointer; null: the whole of it. */
  readonly at: string | null
  /** What the schema asks for: from the schema, never from the payload. */
  readonly expected: string | null
}

export type Decoded =
  { readonly ok: true; readonly json: string } | { readonly ok: false; readonly misfit: Misfit }

export interface RegisteredSchema {
  /** Of the registry, the same for ever. */
  readonly id: number
  /** Null: the JSON value fits. */
  check(value: unknown): Misfit | null
  /** The bytes behind the frame, as JSON text. */
  decode(bytes: Buffer): Decoded
}

/** Each look-up ends within a bound. @throws SCHEMA_REGISTRY_UNAVAILABLE, SCHEMA_REGISTRY_REFUSED, SCHEMA_UNUSABLE */
export interface SchemaRegistry extends AsyncDisposable {
  /** The newest version of a subject. `known` is returned when it is still that one. Null: there is no such subject. */
  newest(subject: string, known: RegisteredSchema | null): Promise<RegisteredSchema | null>
  /** The version of a subject with this id. Null: it has none. */
  version(subject: string, id: number): Promise<RegisteredSchema | null>
}
