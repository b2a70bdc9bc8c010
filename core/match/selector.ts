/**
 * Finds one value in a request: an RFC 9535 path into the body, or `header:<name>`. Compiled when the configuration
 * is read, so that a path that cannot work is refused there and never at the first event.
 */
import { jsonpath } from 'json-p3'

const HEADER = /^header:\s*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})$/
const MEMBER_PATH = /^\$(?:\.[A-Za-z_]\w*)+$/
const EXPRESSION_CHARACTERS_MAX = 1024

export type Selector =
  | { readonly from: 'header'; readonly name: string }
  | { readonly from: 'body'; readonly read: (json: unknown) => unknown }

/** @throws on an expression that is neither. */
export function compileSelector(expression: string): Selector {
  if (!expression.startsWith('header:')) return { from: 'body', read: compilePath(expression) }
  const name = HEADER.exec(expression)?.[1]
  if (name === undefined) throw new Error('no valid header name follows header:')
  return { from: 'header', name: name.toLowerCase() }
}

/** First value that the path finds, or undefined. Plain member paths, the common case, need no engine. @throws on a bad path. */
export function compilePath(expression: string): (json: unknown) => unknown {
  if (expression.length > EXPRESSION_CHARACTERS_MAX)
    throw new Error(`a path has at most ${EXPRESSION_CHARACTERS_MAX} characters`)
  if (MEMBER_PATH.test(expression)) {
    const names = expression.slice(2).split('.')
    return (json) => names.reduce<unknown>(member, json)
  }
  const query = jsonpath.compile(expression)
  return (json) => {
    for (const node of query.lazyQuery(toJsonValue(json))) return node.value
    return undefined
  }
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}

type JsonValue = Parameters<ReturnType<typeof jsonpath.compile>['lazyQuery']>[0]

/** What JSON.parse gave is a JSON value by construction. */
function toJsonValue(value: unknown): JsonValue {
  return value as JsonValue
}
