/**
 * Standard Webhooks signatures, version v1 (https://www.standardwebhooks.com): HMAC-SHA-256 over
 * `<id>.<timestamp>.<body>`, one signature for each secret, so that a receiver may still hold the old one while a
 * secret rotates. Secrets are `whsec_` and base64; the keys are made once.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'

const SECRET_PREFIX = 'whsec_'

export interface SignedMessage {
  readonly id: string
  readonly timestampSeconds: number
  readonly body: Buffer
}

export function signingKeys(secrets: readonly string[]): readonly KeyObject[] {
  return secrets.map((secret) => {
    const encoded = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : secret
    return createSecretKey(Buffer.from(encoded, 'base64'))
  })
}

/** Value of `webhook-signature`: signatures with a space between them. */
export function signMessage(keys: readonly KeyObject[], message: SignedMessage): string {
  const head = `${message.id}.${message.timestampSeconds}.`
  return keys
    .map((key) => `v1,${createHmac('sha256', key).update(head).update(message.body).digest('base64')}`)
    .join(' ')
}
