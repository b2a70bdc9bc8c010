/**
 * Asymmetric signatures of Standard Webhooks, version v1a: Ed25519 over the same content as v1. Who receives needs the
 * public key alone. Private keys are PEM (PKCS #8) or `whsk_` with base64 of the 32 bytes of the seed, or of seed and
 * public key; public ones are written `whpk_` with base64 of their 32 bytes, as its libraries read them.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import type { DeliveryConfig, HandlerConfig } from '../config/config.ts'
import { secretKeys } from './webhook-signature.ts'

const PRIVATE_PREFIX = 'whsk_'
const PUBLIC_PREFIX = 'whpk_'
const SEED_BYTES = 32
/** DER of an Ed25519 private key in PKCS #8 up to its seed (RFC 8410 §7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex')

export interface PublicSigningKey {
  /** `whpk_` and base64. */
  readonly publicKey: string
  readonly pem: string
}

export function isSigningKey(text: string): boolean {
  return readSigningKey(text) !== null
}

/** Secrets and private keys that a handler's requests are signed with: its own of each kind, else the default ones. */
export function keysOf(
  handler: Pick<HandlerConfig, 'signingSecrets' | 'signingKeys'>,
  delivery: Pick<DeliveryConfig, 'signingSecrets' | 'signingKeys'>,
): readonly KeyObject[] {
  const secrets = handler.signingSecrets.length > 0 ? handler.signingSecrets : delivery.signingSecrets
  return [...secretKeys(secrets), ...privateKeysOf(handler, delivery)]
}

export function publicKeysOf(
  handler: Pick<HandlerConfig, 'signingKeys'>,
  delivery: Pick<DeliveryConfig, 'signingKeys'>,
): readonly PublicSigningKey[] {
  return privateKeysOf(handler, delivery).map((key) => {
    const publicKey = createPublicKey(key)
    const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-SEED_BYTES)
    return {
      publicKey: PUBLIC_PREFIX + raw.toString('base64'),
      pem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    }
  })
}

function privateKeysOf(
  handler: Pick<HandlerConfig, 'signingKeys'>,
  delivery: Pick<DeliveryConfig, 'signingKeys'>,
): readonly KeyObject[] {
  const texts = handler.signingKeys.length > 0 ? handler.signingKeys : delivery.signingKeys
  return texts.flatMap((text) => readSigningKey(text) ?? [])
}

/** Null when it is no such key. */
function readSigningKey(text: string): KeyObject | null {
  try {
    const key = text.startsWith(PRIVATE_PREFIX)
      ? keyOfSeed(Buffer.from(text.slice(PRIVATE_PREFIX.length), 'base64'))
      : createPrivateKey(text)
    return key?.asymmetricKeyType === 'ed25519' ? key : null
  } catch {
    return null
  }
}

function keyOfSeed(bytes: Buffer): KeyObject | null {
  if (bytes.length !== SEED_BYTES && bytes.length !== 2 * SEED_BYTES) return null
  const der = Buffer.concat([PKCS8_HEAD, bytes.subarray(0, SEED_BYTES)])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  const raw = createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-SEED_BYTES)
  // The second half is the public key; another one means that the text is damaged.
  return bytes.length === SEED_BYTES || raw.equals(bytes.subarray(SEED_BYTES)) ? key : null
}
