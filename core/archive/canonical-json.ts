/** RFC 8785 JSON: one spelling for each value, so hashes and signatures over documents can be made again by anybody. */
import assert from 'node:assert/strict'
import canonicalize from 'canonicalize'

export function canonicalJson(value: unknown): string {
  const text = canonicalize(value)
  assert(text !== undefined, 'the value has a JSON form')
  return text
}
