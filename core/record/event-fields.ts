/**
 * Type, dedup key and ordering key of a request: `header:<name>`, an RFC 9535 path into the body, or what the scheme
 * says. Compiled once for each source; the body is parsed at most once a request, and only when a path asks for it.
 */
import type { SourceConfig } from '../config/config.ts'
import { compilePath, compileSelector } from '../match/selector.ts'
import { headerValue, type HeaderPairs } from '../verify/header-values.ts'
import { schemeOf, type FieldSource } from '../verify/scheme-table.ts'
import type { JsonBody } from './json-body.ts'

export interface FieldInput {
  readonly headers: HeaderPairs
  readonly signedId: string | null
  readonly body: JsonBody
}

/** Null: the request does not have this field. Never the empty string. */
export type Field = (input: FieldInput) => string | null

export interface SourceFields {
  readonly type: Field
  readonly dedup: Field
  readonly order: Field
}

/** A path that names one member of the body: it can be ruled out without parsing. */
const TOP_MEMBER = /^\$\.([A-Za-z_]\w*)$/

const absent: Field = () => null

/** `order` is absent unless configured: then the dedup key orders. @throws on a path that RFC 9535 does not allow. */
export function compileFields(source: SourceConfig): SourceFields {
  const scheme = schemeOf(source.verify)
  return {
    type: fieldOf(source.type, scheme?.type ?? null),
    dedup: lossless(fieldOf(source.dedup.key, scheme?.dedup ?? null)),
    order: fieldOf(source.orderBy, null),
  }
}

/** Bytes that are no UTF-8 all read as U+FFFD: two keys that differ in them alone would be one, and the second event a duplicate. */
function lossless(field: Field): Field {
  return (request) => {
    const key = field(request)
    return key?.includes('\uFFFD') === true && !request.body.isUtf8 ? null : key
  }
}

function fieldOf(configured: string | null, otherwise: FieldSource | null): Field {
  if (configured === null) return otherwise === null ? absent : compile(otherwise)
  const selector = compileSelector(configured)
  return selector.from === 'header' ? compile(selector) : ({ body }) => body.text(selector.read)
}

function compile(source: FieldSource): Field {
  switch (source.from) {
    case 'signed-id':
      return ({ signedId }) => signedId || null
    case 'body': {
      const read = compilePath(source.path)
      return ({ body }) => body.text(read)
    }
    case 'header': {
      const { name, suffix } = source
      if (suffix === undefined) return ({ headers }) => headerValue(headers, name) || null
      const read = compilePath(suffix)
      const member = TOP_MEMBER.exec(suffix)?.[1] ?? null
      return ({ headers, body }) => {
        const value = headerValue(headers, name) || null
        const absent = value === null || (member !== null && !body.mayHave(member))
        const more = absent ? null : body.text(read)
        return more === null ? value : `${value ?? ''}.${more}`
      }
    }
  }
  source satisfies never
  return absent
}
