/** The configuration for people: secrets become a placeholder that says nothing about them. */
import type { Settings } from './config.ts'

const PLACEHOLDER = '(secret)'

export function redactConfig(config: Omit<Settings, 'redacted'>): Settings['redacted'] {
  const { archive, api, delivery, database } = config
  return {
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
