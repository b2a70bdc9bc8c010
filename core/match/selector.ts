/**
 * Reads one text out of a request: an RFC 9535 path into the body, or `header:<name>`. Compiled when the configuration
 * is read, so that a path that cannot work is refused there and never at the first event.
 */
import { jsonpath } from 'json-p3'

const HEADER = /^header:\s*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})$/
const EXPRESSION_CHARACTERS_MAX = 1024

export type Selector =
  | { readonly from: 'header'; readonly name: string }
  | { readonly from: 'body'; readonly read: (json: unknown) => string | null }

/** @throws on an expression that is neither. */
export function compileSelector(expression: string): Selector {
  if (!expression.startsWith('header:')) return { from: 'body', read: compilePath(expression) }
  const name = HEADER.exec(expression)?.[1]
  if (name === undefined) throw new Error('no valid header name follows header:')
  return { from: 'header', name: name.toLowerCase() }
}

/** First value that the path finds, as text; null for nothing, null, an object or an array. @throws on a bad path. */
export function compilePath(expression: string): (json: unknown) => string | null {
  if (expression.length > EXPRESSION_CHARACTERS_MAX)
    throw new Error(`a path has at most ${EXPRESSION_CHARACTERS_MAX} characters`)
  const query = jsonpath.compile(expression)
  return (json) => {
    for (const node of query.lazyQuery(toJsonValue(json))) return scalarText(node.value)
    return null
  }
}

function scalarText(value: unknown): string | null {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null
}

type JsonValue = Parameters<ReturnType<typeof jsonpath.compile>['lazyQuery']>[0]

/** What JSON.parse gave is a JSON value by construction. */
function toJsonValue(value: unknown): JsonValue {
  return value as JsonValue
}
