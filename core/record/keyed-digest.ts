/**
 * Every digest of content or of a secret outside the Merkle leaves: HMAC-SHA-256 under the installation's digest key,
 * which never lies in the bucket. An unsalted hash there would be an oracle for as long as the objects are locked.
 */
import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'

export type Digest = (bytes: Buffer | string) => string

/** Made once: a Buffer as key costs several times as much for each digest. */
export function createDigestKey(digestKey: string): KeyObject {
  return createSecretKey(digestKey, 'utf8')
}

export function keyedDigestBytes(digestKey: KeyObject, bytes: Buffer | string): Buffer {
  return createHmac('sha256', digestKey).update(bytes).digest()
}

/** As keyedDigestBytes, and remembered as long as the body lives: planning and each attempt ask for the same one. */
export function createBodyDigest(digestKey: KeyObject): (body: Buffer) => Buffer {
  const known = new WeakMap<Buffer, Buffer>()
  return (body) => {
    const digest = known.get(body) ?? keyedDigestBytes(digestKey, body)
    known.set(body, digest)
    return digest
  }
}

/** `hmac-sha256:<hex>`; a string is taken as UTF-8. */
export function keyedDigest(digestKey: KeyObject, bytes: Buffer | string): string {
  return `hmac-sha256:${createHmac('sha256', digestKey).update(bytes).digest('hex')}`
}
