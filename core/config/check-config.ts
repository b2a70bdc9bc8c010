/**
 * Checks that look at more than one key. Everything that would make a source unverified by accident or a handler
 * silently useless is a fault here, before anything starts. Each check reads only the keys that it needs, so that one
 * malformed key hides no other fault; where one that it needs is malformed, that was reported and the check is left out.
 */
import { isAddress, refusedAddress } from '../delivery/address-class.ts'
import { nearestName } from '../nearest-name.ts'
import { isObject } from '../record/parse-header.ts'
import type { RawHandler, RawSource } from './build-config.ts'
import type { Report } from './config-fault.ts'
import { checkDrivers } from './check-drivers.ts'
import { checkArchiveKeys } from './check-archive-keys.ts'
import { checkClientTls } from './check-client-tls.ts'
import { checkVerify } from './check-verify.ts'
import { checkWorm } from './check-worm.ts'
import { soundMembers, type Part } from './parse-section.ts'
import { diskSchema, handlerSchema, sectionSchemas, sourceSchema } from './schema.ts'

const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/
const BASE64_SECRET = /^(?:whsec_)?((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?)$/
const SIGNING_BYTES_MIN = 16

const sourceKeys = Object.keys(sourceSchema.shape)
const databaseKeys = Object.keys(sectionSchemas.database.shape)
const handlerKeys = Object.keys(handlerSchema.shape)

const members = {
  secrets: sourceSchema.pick({ verify: true, secret: true, secrets: true }).strip(),
  source: handlerSchema.pick({ source: true }).strip(),
  signingSecrets: handlerSchema.pick({ signing_secrets: true }).strip(),
  target: handlerSchema.pick({ url: true, allow_private: true }).strip(),
  tls: handlerSchema.pick({ url: true, tls: true }).strip(),
  database: sectionSchemas.database.pick({ url: true }).strip(),
  disk: diskSchema.pick({ alarm: true, shed: true }).strip(),
  cadence: sectionSchemas.archive.pick({ heartbeat: true, idle_heartbeat: true }).strip(),
  defaultSecrets: sectionSchemas.delivery.pick({ signing_secrets: true }).strip(),
}

export function checkName(at: Part['at'], report: Report): void {
  if (!NAME.test(String(at.at(-1)))) report({ at, message: 'a name must match [a-z0-9][a-z0-9_-]{0,62}' })
}

export function checkSource(part: Part, report: Report): void {
  const secrets = soundMembers(members.secrets, part, sourceKeys)
  if (secrets !== null) checkSecrets(part.at, secrets, report)
  if (typeof part.value === 'object' && part.value !== null && 'verify' in part.value)
    checkVerify([...part.at, 'verify'], part.value.verify, report)
}

function checkSecrets(
  at: Part['at'],
  raw: Pick<RawSource, 'verify' | 'secret' | 'secrets'>,
  report: Report,
): void {
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
      hint: `secrets: [\${${String(at.at(-1)).toUpperCase().replaceAll('-', '_')}_SECRET}]`,
    })
  if (scheme === 'standard-webhooks')
    checkSigningSecrets(secrets, [...at, raw.secret === undefined ? 'secrets' : 'secret'], report)
}

function checkSigningSecrets(secrets: readonly string[], at: Part['at'], report: Report): void {
  for (const [index, secret] of secrets.entries()) {
    const encoded = BASE64_SECRET.exec(secret)?.[1]
    if (encoded !== undefined && Buffer.from(encoded, 'base64').length >= SIGNING_BYTES_MIN) continue
    report({
      at: at.at(-1) === 'secret' ? at : [...at, index],
      message: `is not base64 of at least ${SIGNING_BYTES_MIN} bytes, after whsec_`,
    })
  }
}

/** @param sources their names; null when `sources` itself is malformed. */
export function checkHandler(part: Part, sources: readonly string[] | null, report: Report): void {
  const { at } = part
  const source = soundMembers(members.source, part, handlerKeys)?.source
  if (source !== undefined && sources?.includes(source) === false)
    report({
      at: [...at, 'source'],
      found: source,
      message: 'no source has this name',
      hint: sourceHint(source, sources),
    })
  const secrets = soundMembers(members.signingSecrets, part, handlerKeys)?.signing_secrets
  checkSigningSecrets(secrets ?? [], [...at, 'signing_secrets'], report)
  const secured = soundMembers(members.tls, part, handlerKeys)
  if (secured?.tls !== undefined) checkClientTls([...at, 'tls'], { ...secured.tls, url: secured.url }, report)
  const target = soundMembers(members.target, part, handlerKeys)
  const refused = target === null ? null : refusedHost(new URL(target.url).hostname, target.allow_private)
  if (refused !== null)
    report({
      at: [...at, 'url'],
      message: `points at a private address (${refused.reason})`,
      hint: `add: allow_private: ${refused.line}`,
    })
}

function sourceHint(source: string, sources: readonly string[]): string {
  if (sources.length === 0) return 'there are no sources yet'
  const nearest = nearestName(source, sources)
  return nearest === null ? `sources: ${sources.join(', ')}` : `did you mean ${nearest}?`
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

/** @param root what stands at the root of the file. */
export function checkSections(root: ReadonlyMap<string, unknown>, report: Report): void {
  const log = root.get('log')
  const disk = {
    at: ['log', 'disk'],
    value: typeof log === 'object' && log !== null && 'disk' in log ? log.disk : {},
  }
  const room = soundMembers(members.disk, disk, Object.keys(diskSchema.shape))
  if (room !== null && room.alarm > room.shed)
    report({ at: [...disk.at, 'alarm'], message: 'is above log.disk.shed' })
  const archive = { at: ['archive'], value: root.get('archive') ?? {} }
  const cadence = soundMembers(members.cadence, archive, Object.keys(sectionSchemas.archive.shape))
  if (cadence?.idle_heartbeat !== undefined && cadence.idle_heartbeat < cadence.heartbeat)
    report({ at: ['archive', 'idle_heartbeat'], message: 'is shorter than archive.heartbeat' })
  const delivery = { at: ['delivery'], value: root.get('delivery') ?? {} }
  const secrets = soundMembers(members.defaultSecrets, delivery, Object.keys(sectionSchemas.delivery.shape))
  checkSigningSecrets(secrets?.signing_secrets ?? [], ['delivery', 'signing_secrets'], report)
  checkDigestKey(root, report)
  checkDrivers(root, report)
  checkWorm(root, report)
  checkArchiveKeys(root, report)
  checkRegistry(root, report)
}

/** A source that names a subject needs a registry, and a registry needs its URL. */
function checkRegistry(root: ReadonlyMap<string, unknown>, report: Report): void {
  const registry = root.get('schema_registry')
  const hasUrl = isObject(registry) && registry['url'] !== undefined
  if (isObject(registry) && !hasUrl)
    report({ at: ['schema_registry'], message: 'has no url', hint: 'url: https://host/apis/ccompat/v7' })
  const sources = root.get('sources')
  if (hasUrl || registry !== undefined || !isObject(sources)) return
  for (const [name, source] of Object.entries(sources))
    if (isObject(source) && source['schema'] !== undefined)
      report({
        at: ['sources', name, 'schema'],
        message: 'needs schema_registry',
        hint: 'schema_registry: { url: https://host/apis/ccompat/v7 }',
      })
}

/** With a database of one's own, processes on several machines must digest alike. */
function checkDigestKey(root: ReadonlyMap<string, unknown>, report: Report): void {
  const database = soundMembers(
    members.database,
    { at: ['database'], value: root.get('database') ?? {} },
    databaseKeys,
  )
  if (typeof database?.url !== 'string' || root.get('digest_key') !== undefined) return
  report({
    at: ['database', 'url'],
    message: 'needs digest_key, the same one for every process',
    hint: 'digest_key: ${file:/run/secrets/digest}',
  })
}
