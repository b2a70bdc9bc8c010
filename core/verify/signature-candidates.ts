/**
 * Splits signature headers into candidates. All of them count: while a secret is rolled a provider signs with both, and
 * checking only the first or the last one refuses good requests.
 */
import type { Encoding } from '../config/config.ts'
import type { Scheme } from './scheme-table.ts'

const HEX_PATTERN = /^[0-9a-fA-F]+$/
/** Both alphabets: providers differ, and the decoded bytes decide. */
const BASE64_PATTERN = /^[A-Za-z0-9+/_-]+={0,2}$/
const DIGEST_BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const

export interface SignatureParts {
  /** Decoded, each exactly as long as the scheme's digest. */
  readonly candidates: readonly Buffer[]
  /** The time that stands beside the signatures; the last one, as the provider's own package takes it. */
  readonly timestamp: string | null
}

export function splitSignatures(values: readonly string[], scheme: Scheme): SignatureParts {
  const candidates: Buffer[] = []
  let timestamp: string | null = null
  for (const value of values) {
    for (const part of scheme.separator === null ? [value] : value.split(scheme.separator)) {
      const text = part.trim()
      if (scheme.timestampPrefix !== null && text.startsWith(scheme.timestampPrefix))
        timestamp = text.slice(scheme.timestampPrefix.length)
      else if (text.startsWith(scheme.prefix)) {
        const bytes = decode(text.slice(scheme.prefix.length), scheme.encoding)
        if (bytes?.length === DIGEST_BYTES[scheme.algorithm]) candidates.push(bytes)
      }
    }
  }
  return { candidates, timestamp }
}

function decode(text: string, encoding: Encoding): Buffer | null {
  const pattern = encoding === 'hex' ? HEX_PATTERN : BASE64_PATTERN
  return pattern.test(text) ? Buffer.from(text, encoding) : null
}
