/** Bearer tokens: hashes are compared, in constant time. */
import { createHash, timingSafeEqual } from 'node:crypto'

export function createTokenCheck(token: string): (header: string | undefined) => boolean {
  const expected = hashOf(token)
  return (header) => {
    const match = /^bearer +(\S+) *$/i.exec(header ?? '')
    return timingSafeEqual(hashOf(match?.[1] ?? ''), expected) && match !== null
  }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
