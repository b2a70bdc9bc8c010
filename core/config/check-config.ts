/**
 * Checks that look at more than one key. Everything that would make a source unverified by accident or a handler
 * silently useless is a fault here, before anything starts.
 */
import type { Report } from './config-fault.ts'
import type { RawHandler, RawSource, Sections } from './build-config.ts'
import { refusedAddress, isAddress } from '../delivery/address-class.ts'
import { nearestName } from './config-fault.ts'

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
const BASE64_SECRET = /^(?:whsec_)?((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?)$/
const HMAC_KEYS = ['header', 'timestamp_header', 'id_header'] as const
const SIGNING_BYTES_MIN = 16

export function checkName(at: readonly string[], report: Report): void {
  if (!NAME.test(at.at(-1) ?? '')) report({ at, message: 'a name must match [a-z0-9][a-z0-9_-]{0,62}' })
}

export function checkSource(name: string, raw: RawSource, report: Report): void {
  const at = ['sources', name]
  if (raw.secret !== undefined && raw.secrets !== undefined)
    report({ at: [...at, 'secret'], message: 'stands beside secrets', hint: 'move it into secrets' })
  const secrets = raw.secrets ?? (raw.secret === undefined ? [] : [raw.secret])
  const { scheme } = raw.verify
  if (scheme === 'none' && secrets.length > 0)
    report({
      at: [...at, 'verify'],
      message: 'none uses no secret, but one is set',
      hint: 'name the scheme, or remove the secret',
    })
  if (scheme !== 'none' && secrets.length === 0)
    report({
      at,
      message: `has no secret, which ${scheme} needs`,
      hint: `secrets: [\${${name.toUpperCase().replaceAll('-', '_')}_SECRET}]`,
    })
  if (scheme === 'standard-webhooks')
    checkSigningSecrets(secrets, [...at, raw.secret === undefined ? 'secrets' : 'secret'], report)
  checkVerify(raw.verify, [...at, 'verify'], report)
}

function checkVerify(verify: RawSource['verify'], at: readonly string[], report: Report): void {
  if (verify.scheme !== 'hmac') {
    const misplaced = HMAC_KEYS.filter((key) => verify[key] !== undefined)
    for (const key of misplaced)
      report({ at: [...at, key], message: `has no meaning for ${verify.scheme}`, hint: 'scheme: hmac' })
    return
  }
  if (verify.header === undefined)
    report({ at, message: 'hmac needs the header that holds the signature', hint: 'header: x-signature' })
  if (!verify.signed.includes('{body}')) report({ at: [...at, 'signed'], message: 'must contain {body}' })
  if (verify.signed.includes('{timestamp}') && verify.timestamp_header === undefined)
    report({ at, message: '{timestamp} is signed, but timestamp_header is missing' })
  if (verify.signed.includes('{id}') && verify.id_header === undefined)
    report({ at, message: '{id} is signed, but id_header is missing' })
  if (
    verify.tolerance !== undefined &&
    !(verify.signed.includes('{timestamp}') && verify.timestamp_header !== undefined)
  )
    report({
      at: [...at, 'tolerance'],
      message: 'needs a time that is signed',
      hint: 'signed: "{timestamp}.{body}"',
    })
}

export function checkSigningSecrets(secrets: readonly string[], at: readonly string[], report: Report): void {
  for (const secret of secrets) {
    const encoded = BASE64_SECRET.exec(secret)?.[1]
    if (encoded !== undefined && Buffer.from(encoded, 'base64').length >= SIGNING_BYTES_MIN) continue
    report({
      at,
      message: `holds a secret that is not base64 of at least ${SIGNING_BYTES_MIN} bytes, after whsec_`,
    })
  }
}

export function checkHandler(
  name: string,
  raw: RawHandler,
  context: { sources: readonly string[]; report: Report },
): void {
  const { sources, report } = context
  const at = ['handlers', name]
  if (!sources.includes(raw.source)) {
    const nearest = nearestName(raw.source, sources)
    const hint = nearest === null ? `sources: ${sources.join(', ')}` : `did you mean ${nearest}?`
    report({ at: [...at, 'source'], message: 'names a source that is not configured', hint })
  }
  checkSigningSecrets(raw.signing_secrets ?? [], [...at, 'signing_secrets'], report)
  const refused = refusedHost(new URL(raw.url).hostname, raw.allow_private)
  if (refused !== null)
    report({
      at: [...at, 'url'],
      message: `points at a private address (${refused.reason})`,
      hint: `add: allow_private: ${refused.line}`,
    })
}

function refusedHost(
  host: string,
  allow: RawHandler['allow_private'],
): { reason: string; line: string } | null {
  const bare = host.replace(/\.$/, '')
  if (bare === 'localhost' || bare.endsWith('.localhost')) {
    const isAllowed = ['127.0.0.1', '::1'].some((address) => refusedAddress(address, allow) === null)
    return isAllowed ? null : { reason: 'localhost', line: '[127.0.0.0/8, "::1/128"]' }
  }
  if (!isAddress(host)) return null
  const reason = refusedAddress(host, allow)
  const address = host.replace(/^\[|\]$/g, '')
  return reason === null
    ? null
    : { reason, line: address.includes(':') ? `["${address}/128"]` : `[${address}/32]` }
}

export function checkSections({ log, archive, delivery }: Sections, report: Report): void {
  const { disk } = log
  if (disk.alarm > disk.shed) report({ at: ['log', 'disk', 'alarm'], message: 'is above log.disk.shed' })
  if (archive.idle_heartbeat !== undefined && archive.idle_heartbeat < archive.heartbeat)
    report({ at: ['archive', 'idle_heartbeat'], message: 'is shorter than archive.heartbeat' })
  checkSigningSecrets(delivery.signing_secrets, ['delivery', 'signing_secrets'], report)
}
