/** v1a signatures: any library that knows Ed25519 verifies them with what is published, old and new key while one rotates. */
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { isSigningKey, keysOf, publicKeysOf } from '../../core/delivery/signing-key.ts'
import { signMessage } from '../../core/delivery/webhook-signature.ts'

const message = { id: 'event.billing', timestampSeconds: 1_700_000_000, body: Buffer.from('{"n": 1}') }
const SECRET = `whsec_${Buffer.alloc(24, 1).toString('base64')}`

function pemKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** As a receiver does it, from the published text alone. */
function accepts(publicKey: string, signature: string): boolean {
  const raw = Buffer.from(publicKey.replace(/^whpk_/, ''), 'base64')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const signed = Buffer.from(`${message.id}.${message.timestampSeconds}.${message.body.toString()}`)
  return signature
    .split(' ')
    .filter((part) => part.startsWith('v1a,'))
    .some((part) => verify(null, signed, key, Buffer.from(part.slice('v1a,'.length), 'base64')))
}

test('each of two keys that rotate verifies, beside the v1 signature of a secret', () => {
  const handler = { signingSecrets: [], signingKeys: [pemKey(), pemKey()] }
  const delivery = { signingSecrets: [SECRET], signingKeys: [] }
  const signature = signMessage(keysOf(handler, delivery), message)
  assert.deepEqual(
    signature.split(' ').map((part) => part.split(',')[0]),
    ['v1', 'v1a', 'v1a'],
  )
  const published = publicKeysOf(handler, delivery)
  assert.equal(published.length, 2)
  for (const { publicKey } of published) assert.ok(accepts(publicKey, signature))
  const [stranger] = publicKeysOf({ signingKeys: [pemKey()] }, delivery)
  assert.equal(accepts(stranger?.publicKey ?? '', signature), false)
  const headers = { 'webhook-id': message.id, 'webhook-timestamp': String(Math.floor(Date.now() / 1000)) }
  const now = { ...message, timestampSeconds: Number(headers['webhook-timestamp']) }
  const both = signMessage(keysOf(handler, delivery), now)
  new Webhook(SECRET).verify(message.body, { ...headers, 'webhook-signature': both })
})

test('a handler’s own keys replace the default ones, and PEM and whsk_ are the same key', () => {
  const pem = pemKey()
  const [made] = publicKeysOf({ signingKeys: [pem] }, { signingKeys: [] })
  assert.ok(made !== undefined)
  const [inherited] = publicKeysOf({ signingKeys: [] }, { signingKeys: [pem] })
  assert.deepEqual(inherited, made)
  assert.deepEqual(publicKeysOf({ signingKeys: [pem] }, { signingKeys: [pemKey()] }), [made])
  const seed = Buffer.from(pem.split('\n')[1] ?? '', 'base64').subarray(-32)
  const raw = Buffer.from(made.publicKey.slice('whpk_'.length), 'base64')
  for (const bytes of [seed, Buffer.concat([seed, raw])])
    assert.deepEqual(
      publicKeysOf({ signingKeys: [`whsk_${bytes.toString('base64')}`] }, { signingKeys: [] }),
      [made],
    )
})

test('what is no Ed25519 private key is refused', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const pair = generateKeyPairSync('ed25519')
  for (const text of [
    '',
    'whsk_',
    `whsk_${Buffer.alloc(31, 1).toString('base64')}`,
    // Seed and another public key.
    `whsk_${Buffer.alloc(64, 1).toString('base64')}`,
    SECRET,
    pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    rsa.export({ type: 'pkcs8', format: 'pem' }).toString(),
  ])
    assert.equal(isSigningKey(text), false, text.slice(0, 40))
})
