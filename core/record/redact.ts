/**
 * Takes credentials out of what is recorded of a request. Each is replaced by its keyed digest: two requests with the
 * same token can still be told from two with different ones, and nobody can use or guess it.
 */
import type { Digest } from './keyed-digest.ts'

const CREDENTIAL_HEADERS = new Set([
  'authorization',
  'proxy-authorization',
  'authentication',
  'cookie',
  'set-cookie',
  'x-auth',
  'x-authorization',
  'x-forwarded-authorization',
  'x-goog-iap-jwt-assertion',
  'x-amzn-oidc-data',
])
/** X-Gitlab-Token, X-Api-Key, X-Hook-Secret, X-Amz-Security-Token and their like. */
const CREDENTIAL_HEADER_PATTERN =
  /(?:token|secret|password|passwd|credentials?|api[-_]?key|access[-_]?key|auth[-_]?key)$/
/** Names that end alike and carry no secret. */
const PLAIN_HEADER_PATTERN = /idempotency/
/** Headers whose value is a URL, with a query of its own. */
const URL_HEADERS = new Set([
  'referer',
  'x-original-url',
  'x-original-uri',
  'x-rewrite-url',
  'x-forwarded-uri',
  'x-forwarded-url',
])
const SECRET_WORDS = new Set(
  'token key apikey secret sig signature hmac password passwd pwd pass auth authorization credential credentials jwt code session sid'.split(
    ' ',
  ),
)
const SECRET_ENDING = /(?:token|secret|password|passwd|signature|apikey|hmac)$/

export function isCredentialHeader(name: string): boolean {
  const lower = name.toLowerCase()
  return (
    CREDENTIAL_HEADERS.has(lower) ||
    (CREDENTIAL_HEADER_PATTERN.test(lower) && !PLAIN_HEADER_PATTERN.test(lower))
  )
}

/** Order and spelling of names stay. */
export function redactHeaders(
  headers: readonly (readonly [name: string, value: string])[],
  digest: Digest,
): (readonly [string, string])[] {
  return headers.map((pair) => {
    const [name, value] = pair
    if (isCredentialHeader(name)) return [name, digest(value)]
    return value.includes('?') && URL_HEADERS.has(name.toLowerCase())
      ? [name, redactUrl(value, digest)]
      : pair
  })
}

/** `query` without the question mark; everything but the secret values stays as it was sent. */
export function redactQuery(query: string, digest: Digest): string {
  if (query === '') return ''
  return query
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=')
      if (equals === -1 || !isSecretName(pair.slice(0, equals))) return pair
      return `${pair.slice(0, equals + 1)}${digest(pair.slice(equals + 1))}`
    })
    .join('&')
}

function redactUrl(url: string, digest: Digest): string {
  const [head = '', ...query] = url.split('?')
  const [text = '', ...fragment] = query.join('?').split('#')
  const tail = fragment.length === 0 ? '' : `#${fragment.join('#')}`
  return `${head}?${redactQuery(text, digest)}${tail}`
}

function isSecretName(encoded: string): boolean {
  const name = decode(encoded)
  const words = name.split(/[^A-Za-z0-9]+|(?<=[a-z0-9])(?=[A-Z])/).map((word) => word.toLowerCase())
  return words.some((word) => SECRET_WORDS.has(word) || SECRET_ENDING.test(word))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    // Not percent-encoded text: its plain spelling decides.
    return text
  }
}
