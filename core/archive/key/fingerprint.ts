/**
 * The fingerprint of a public key for people: seven groups of four letters and digits, which can be read over a telephone,
 * and whose last group tells whether they were read right. No two keys can be made to share one.
 */
import { hash } from 'node:crypto'

/** Crockford's base 32: no I, L, O, U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const LETTERS = 26
const CHECK_LETTERS = 2
const GROUP = /.{4}/g

/** @param vkey verifier key line */
export function fingerprintOf(vkey: string): string {
  const letters = base32(hash('sha256', vkey, 'buffer'), LETTERS)
  const check = base32(hash('sha256', letters, 'buffer'), CHECK_LETTERS)
  return (`${letters}${check}`.match(GROUP) ?? []).join('-')
}

/** The first bits, five for each letter. */
function base32(bytes: Buffer, letters: number): string {
  const bits = BigInt(`0x${bytes.toString('hex')}`) >> BigInt(bytes.length * 8 - letters * 5)
  return Array.from({ length: letters }, (_, at) => {
    return ALPHABET[Number((bits >> BigInt((letters - 1 - at) * 5)) & 31n)] ?? ''
  }).join('')
}
