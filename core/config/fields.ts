/**
 * The kinds of values that a configuration has, as zod schemas that also read what `${VAR}` leaves: text. Each says
 * what it expects and never shows what it got. `meta.kind` is what docs/config.md calls the type.
 */
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { isVerifierKey } from '../archive/signed-note.ts'
import { isSigningKey } from '../delivery/signing-key.ts'
import { compileFilter } from '../match/filter.ts'
import { isEventPattern } from '../match/event-pattern.ts'
import { compileSelector } from '../match/selector.ts'
import { compileTransform } from '../match/transform.ts'
import { parseDurationMs, parsePercent, parsePerSecond, parseSizeBytes } from '../units.ts'
import { messageOf } from '../error/message-of.ts'

const TEXT_CHARACTERS_MAX = 16_384
const LIST_ITEMS_MAX = 100

/** A schema over one parser: null from the parser is a fault. */
export function field<T>(kind: string, expected: string, parse: (value: unknown) => T | null) {
  return z
    .unknown()
    .transform((value, context): T => {
      const parsed = parse(value)
      if (parsed !== null) return parsed
      context.issues.push({ code: 'custom', message: `must be ${expected}`, input: undefined })
      return z.NEVER
    })
    .meta({ kind })
}

function scalarText(value: unknown): string | null {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? value : null
}

export function duration(minMs: number, maxMs: number, range: string) {
  return field('duration', `a duration ${range}, such as 5s or 2m`, (value) => {
    const parsed = parseDurationMs(scalarText(value) ?? '')
    return parsed !== null && parsed >= minMs && parsed <= maxMs ? parsed : null
  })
}

export function size(minBytes: number, maxBytes: number, range: string) {
  return field('size', `a size ${range}, such as 64KiB or 5MiB`, (value) => {
    const parsed = parseSizeBytes(scalarText(value) ?? '')
    return parsed !== null && parsed >= minBytes && parsed <= maxBytes ? parsed : null
  })
}

export function whole(min: number, max: number) {
  const expected = min === max ? String(min) : `a whole number from ${min} to ${max}`
  return field('number', expected, (value) => {
    const text = scalarText(value) ?? ''
    const parsed = /^\d{1,15}$/.test(text) ? Number(text) : NaN
    return parsed >= min && parsed <= max ? parsed : null
  })
}

export const ratio = field('percentage', 'a percentage such as 70%', (value) =>
  parsePercent(scalarText(value) ?? ''),
)

export const rate = field('rate', 'a rate from 1/m to 10000/s, such as 50/s or 300/m', (value) => {
  const parsed = parsePerSecond(scalarText(value) ?? '')
  return parsed !== null && parsed >= 1 / 60 && parsed <= 10_000 ? parsed : null
})

export const flag = field('boolean', 'true or false', (value) => {
  if (value === 'true' || value === 'false') return value === 'true'
  return typeof value === 'boolean' ? value : null
})

export const text = field('text', 'text that is not empty', (value) => {
  const found = scalarText(value)
  return found !== null && found !== '' && found.length <= TEXT_CHARACTERS_MAX ? found : null
})

/** Empty, as from a variable that is not set yet, it is none. */
export const publicKey = field('key', 'a public key as hooktrail keys show prints it', (value) => {
  const found = scalarText(value)
  return found === '' || (found !== null && isVerifierKey(found)) ? found : null
})

/** `later`: values of the full design that this version does not have, and what to use instead; refused by name. */
export function choice<const T extends readonly string[]>(
  options: T,
  later: { readonly values: readonly string[]; readonly instead: string } = { values: [], instead: '' },
) {
  return z
    .unknown()
    .transform((value, context): T[number] => {
      const found = options.find((option) => option === value)
      if (found !== undefined) return found
      const isLater = typeof value === 'string' && later.values.includes(value)
      context.issues.push({
        code: 'custom',
        message: isLater
          ? `${value} is not available in this version; use ${later.instead}`
          : `must be one of ${options.join(', ')}`,
        ...(isLater ? {} : { params: { options } }),
        input: undefined,
      })
      return z.NEVER
    })
    .meta({ kind: options.join(', ') })
}

export function secret(charactersMin: number) {
  return field(
    'secret',
    `a secret of at least ${charactersMin} characters in quotes, without white space around it`,
    (value) => {
      const found = typeof value === 'string' ? value : null
      if (found === null || found !== found.trim()) return null
      return found.length >= charactersMin && found.length <= TEXT_CHARACTERS_MAX ? found : null
    },
  )
}

export const signingKey = field(
  'secret',
  'an Ed25519 private key: PEM, such as ${file:/path/signing.key}, or whsk_ and base64',
  (value) => (typeof value === 'string' && isSigningKey(value) ? value : null),
)

export const listen = field('host:port', 'host:port', (value) => {
  const port = /^(?:[^\s:/]{1,253}|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(scalarText(value) ?? '')?.[1]
  return port !== undefined && Number(port) <= 65_535 ? String(value) : null
})

export const cidr = field('CIDR', 'an address or range such as 10.0.0.0/8', (value) => {
  const found = scalarText(value) ?? ''
  return ipaddr.isValidCIDR(found) || (ipaddr.isValid(found) && !/^\d+$/.test(found)) ? found : null
})

export const webUrl = field('URL', 'an http or https URL without a fragment or credentials', (value) => {
  const url = typeof value === 'string' ? URL.parse(value) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return null
  return url.username === '' && url.password === '' && url.hash === '' ? url.href : null
})

export const headerValue = field('text', 'text without control characters', (value) => {
  const found = scalarText(value)
  return found !== null && /^[\t\x20-\x7e\x80-\xff]{1,8192}$/.test(found) ? found : null
})

export const eventPattern = field('event pattern', 'an exact event type, * or prefix.*', (value) => {
  return typeof value === 'string' && isEventPattern(value) ? value : null
})

export const filter = compiled('CEL', 'a CEL expression over payload, event and headers', compileFilter)
export const transform = compiled('JSONata', 'a JSONata expression', compileTransform)
export const selector = compiled('path', 'a JSON path such as $.id, or header:<name>', compileSelector)

export function list<T extends z.ZodType>(item: T) {
  return z.array(item, { error: () => 'must be a list' }).max(LIST_ITEMS_MAX, {
    error: () => `must have at most ${LIST_ITEMS_MAX} items`,
  })
}

export const section = <T extends z.ZodRawShape>(shape: T, expected = 'a mapping of keys to values') =>
  z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? `must be ${expected}` : undefined),
  })

function compiled(kind: string, expected: string, compile: (source: string) => unknown) {
  return z
    .unknown()
    .transform((value, context): string => {
      const reason = whyNot(value, compile)
      if (reason === null && typeof value === 'string') return value
      context.issues.push({
        code: 'custom',
        message: `must be ${expected}: ${reason ?? 'it is no text'}`,
        input: undefined,
      })
      return z.NEVER
    })
    .meta({ kind })
}

function whyNot(value: unknown, compile: (source: string) => unknown): string | null {
  if (typeof value !== 'string' || value === '') return 'it is no text'
  try {
    compile(value)
    return null
  } catch (error) {
    return messageOf(error)
  }
}
