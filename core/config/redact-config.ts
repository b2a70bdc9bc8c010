/**
 * The configuration for people and its generation: secrets become a placeholder that says nothing about them, so two
 * configurations that differ only in secrets have one generation.
 */
import { createHash } from 'node:crypto'
import { canonicalJson } from '../archive/canonical-json.ts'
import type { Config } from './config.ts'

const GENERATION_CHARACTERS = 16
const PLACEHOLDER = '(secret)'

type Unredacted = Omit<Config, 'generation' | 'redacted'>

export function redactConfig(config: Unredacted): Pick<Config, 'generation' | 'redacted'> {
  const { archive, api, delivery, database } = config
  const redacted = {
    ...config,
    digestKey: hidden(config.digestKey),
    database: { ...database, url: database.url === null ? null : withoutPassword(database.url) },
    archive: { ...archive, signingKey: hidden(archive.signingKey) },
    api: { ...api, authToken: hidden(api.authToken), metricsAuthToken: hidden(api.metricsAuthToken) },
    delivery: { ...delivery, signingSecrets: delivery.signingSecrets.map(() => PLACEHOLDER) },
    sources: config.sources.map((source) => ({ ...source, secrets: source.secrets.map(() => PLACEHOLDER) })),
    handlers: config.handlers.map((handler) => ({
      ...handler,
      url: withoutQuery(handler.url),
      headers: Object.fromEntries(Object.keys(handler.headers).map((name) => [name, PLACEHOLDER])),
      signingSecrets: handler.signingSecrets.map(() => PLACEHOLDER),
    })),
  }
  const digest = createHash('sha256').update(canonicalJson(redacted)).digest('hex')
  return { redacted, generation: digest.slice(0, GENERATION_CHARACTERS) }
}

function hidden(value: string | null): string | null {
  return value === null ? null : PLACEHOLDER
}

/** Host and database stay; user, password and parameters go. A text that is no URL is hidden whole. */
function withoutPassword(text: string): string {
  const url = URL.parse(text)
  return url === null ? PLACEHOLDER : `${url.protocol}//${url.host}${url.pathname}`
}

/** Tokens often stand in the query. */
function withoutQuery(text: string): string {
  return text.replace(/\?.*$/s, `?${PLACEHOLDER}`)
}
