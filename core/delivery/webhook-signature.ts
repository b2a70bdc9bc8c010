/**
 * Standard Webhooks signatures (https://www.standardwebhooks.com) over `<id>.<timestamp>.<body>`: v1, HMAC-SHA-256, and
 * v1a, Ed25519; one for each key, so that a receiver may still hold the old one while it rotates. Secrets are `whsec_` and
 * base64; the keys are made once.
 */
import { createHmac, createSecretKey, sign, type KeyObject } from 'node:crypto'

const SECRET_PREFIX = 'whsec_'

export interface SignedMessage {
  readonly id: string
  readonly timestampSeconds: number
  readonly body: Buffer
}

export function secretKeys(secrets: readonly string[]): readonly KeyObject[] {
  return secrets.map((secret) => {
    const encoded = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret
    return createSecretKey(Buffer.from(encoded, 'base64'))
  })
}

/** Value of `webhook-signature`: signatures with a space between them. */
export function signMessage(keys: readonly KeyObject[], message: SignedMessage): string {
  const head = `${message.id}.${message.timestampSeconds}.`
  return keys.map((key) => signed(key, head, message.body)).join(' ')
}

function signed(key: KeyObject, head: string, body: Buffer): string {
  if (key.type === 'secret')
    return `v1,${createHmac('sha256', key).update(head).update(body).digest('base64')}`
  return `v1a,${sign(null, Buffer.concat([Buffer.from(head), body]), key).toString('base64')}`
}
