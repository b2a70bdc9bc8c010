/** What `send` signs, the verifier of the same source takes: for every scheme. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { signedHeaders } from '../../cli/sign-request.ts'
import { readConfig } from '../../core/config/read-config.ts'
import { createDigestKey } from '../../core/record/keyed-digest.ts'
import { createVerifier } from '../../core/verify/verifier.ts'

const TEXT = `version: 1
sources:
  a: { verify: github, secrets: ['a-secret-of-some-length'] }
  b: { verify: stripe, secrets: ['a-secret-of-some-length'] }
  c: { verify: standard-webhooks, secrets: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'] }
  d: { verify: { scheme: hmac, header: x-sig, prefix: 'v0=', algorithm: sha512, encoding: base64, signed: '{id}.{timestamp}.{body}', timestamp_header: x-ts, id_header: x-id }, secrets: ['a-secret-of-some-length'] }
  e: { verify: none }
handlers:
  one: { source: a, url: 'http://127.0.0.1:9/', allow_private: true }
`

test('what send signs is verified, for every scheme', () => {
  const result = readConfig({ text: TEXT, file: 'x.yaml', overlay: null }, { env: {}, readFile: () => '' })
  assert.ok(result.ok, JSON.stringify(result))
  assert.equal(result.config.sources.length, 5)
  const body = Buffer.from('{"n":1}')
  const nowSeconds = 1_700_000_000
  for (const source of result.config.sources) {
    const signed = signedHeaders(source, { body, id: 'msg_1', nowSeconds, type: 'test' })
    const headers = Object.entries(signed)
    const verifier = createVerifier(source, { digestKey: createDigestKey('0'.repeat(64)), generation: 'g' })
    assert.ok(verifier.verify({ headers, body, nowMs: nowSeconds * 1000 }).ok, source.name)
  }
})
