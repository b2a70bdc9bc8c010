/**
 * Type, dedup key and ordering key of a request: `header:<name>`, an RFC 9535 path into the body, or what the scheme
 * says. Compiled once for each source; the body is parsed at most once a request, and only when a path asks for it.
 */
import { jsonpath } from 'json-p3'
import type { SourceConfig } from '../config/config.ts'
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

const HEADER_PREFIX = 'header:'
const MEMBER_PATH = /^\$(?:\.[A-Za-z_]\w*)+$/
const absent: Field = () => null

/** `order` is absent unless configured: then the dedup key orders. @throws on a path that RFC 9535 does not allow. */
export function compileFields(source: SourceConfig): SourceFields {
  const scheme = schemeOf(source.verify)
  return {
    type: fieldOf(source.type, scheme?.type ?? null),
    dedup: fieldOf(source.dedup.key, scheme?.dedup ?? null),
    order: fieldOf(source.orderBy, null),
  }
}

function fieldOf(configured: string | null, otherwise: FieldSource | null): Field {
  if (configured === null) return otherwise === null ? absent : compile(otherwise)
  return configured.startsWith(HEADER_PREFIX)
    ? compile({ from: 'header', name: configured.slice(HEADER_PREFIX.length).trim().toLowerCase() })
    : compile({ from: 'body', path: configured })
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
      return ({ headers, body }) => {
        const value = headerValue(headers, name) || null
        const more = value === null ? null : body.text(read)
        return more === null ? value : `${value ?? ''}.${more}`
      }
    }
  }
  source satisfies never
  return absent
}

/** First value that the path finds, or undefined. Plain member paths, the common case, need no engine. */
export function compilePath(path: string): (value: unknown) => unknown {
  if (MEMBER_PATH.test(path)) {
    const names = path.slice(2).split('.')
    return (value) => names.reduce<unknown>(member, value)
  }
  const query = jsonpath.compile(path)
  return (value) => {
    for (const node of query.lazyQuery(toJsonValue(value))) return node.value
    return undefined
  }
}

type JsonValue = Parameters<ReturnType<typeof jsonpath.compile>['lazyQuery']>[0]

/** What JSON.parse gave is a JSON value by construction. */
function toJsonValue(value: unknown): JsonValue {
  return value as JsonValue
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}
