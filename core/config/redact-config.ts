/** The configuration for people: secrets become a placeholder that says nothing about them. */
import type {
  AnchorConfig,
  ArchiveKeyConfig,
  RedisConfig,
  S3Config,
  SaslConfig,
  Settings,
  TlsConfig,
} from './config.ts'

const PLACEHOLDER = '(secret)'

export function redactConfig(config: Omit<Settings, 'redacted'>): Settings['redacted'] {
  const { log, queue, archive, api, delivery, database, schemaRegistry } = config
  return {
    ...config,
    digestKey: hidden(config.digestKey),
    database: { ...database, url: database.url === null ? null : withoutPassword(database.url) },
    log: {
      ...log,
      kafka: log.kafka && { ...log.kafka, tls: withoutKey(log.kafka.tls), sasl: redactSasl(log.kafka.sasl) },
    },
    queue: { redis: queue.redis && redactRedis(queue.redis) },
    archive: {
      ...archive,
      signingKey: redactKey(archive.signingKey),
      nextSigningKey: redactKey(archive.nextSigningKey),
      probeCredentials: withoutSecret(archive.probeCredentials),
      anchors: archive.anchors.map(redactAnchor),
      s3: archive.s3 && { ...archive.s3, credentials: withoutSecret(archive.s3.credentials) },
    },
    api: {
      ...api,
      authToken: hidden(api.authToken),
      metricsAuthToken: hidden(api.metricsAuthToken),
      releaseToken: hidden(api.releaseToken),
    },
    schemaRegistry: schemaRegistry && {
      ...schemaRegistry,
      url: withoutQuery(schemaRegistry.url),
      credentials: schemaRegistry.credentials && { ...schemaRegistry.credentials, password: PLACEHOLDER },
    },
    delivery: {
      ...delivery,
      signingSecrets: delivery.signingSecrets.map(() => PLACEHOLDER),
      signingKeys: delivery.signingKeys.map(() => PLACEHOLDER),
    },
    sources: config.sources.map((source) => ({ ...source, secrets: source.secrets.map(() => PLACEHOLDER) })),
    handlers: config.handlers.map((handler) => ({
      ...handler,
      url: withoutQuery(handler.url),
      headers: Object.fromEntries(Object.keys(handler.headers).map((name) => [name, PLACEHOLDER])),
      signingSecrets: handler.signingSecrets.map(() => PLACEHOLDER),
      signingKeys: handler.signingKeys.map(() => PLACEHOLDER),
      tls: withoutKey(handler.tls),
    })),
  }
}

function withoutSecret(credentials: S3Config['credentials']): S3Config['credentials'] {
  return credentials && { ...credentials, secretKey: PLACEHOLDER }
}

function withoutKey(tls: TlsConfig | null): TlsConfig | null {
  return tls && { ...tls, key: hidden(tls.key) }
}

function redactRedis({ url, tls, topology }: RedisConfig): RedisConfig {
  const sentinels = topology.kind === 'sentinels' && { ...topology, password: hidden(topology.password) }
  return { url: withoutPassword(url), tls: withoutKey(tls), topology: sentinels || topology }
}

function redactSasl(sasl: SaslConfig | null): SaslConfig | null {
  if (sasl === null) return null
  return 'token' in sasl ? { ...sasl, token: PLACEHOLDER } : { ...sasl, password: PLACEHOLDER }
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
export function withoutQuery(text: string): string {
  return text.replace(/\?.*$/s, `?${PLACEHOLDER}`)
}

/** A webhook's path may be its secret. */
function redactAnchor(anchor: AnchorConfig): AnchorConfig {
  if (anchor.type === 'rfc3161') return { ...anchor, url: withoutQuery(anchor.url) }
  const { to } = anchor
  return to.kind === 'webhook' ? { ...anchor, to: { ...to, url: new URL(to.url).origin } } : anchor
}

/** Arguments may hold a token. */
function redactKey(key: ArchiveKeyConfig | null): ArchiveKeyConfig | null {
  switch (key?.kind) {
    case undefined:
      return null
    case 'pem':
      return { kind: 'pem', pem: PLACEHOLDER }
    case 'file':
      return key
    case 'command':
    case 'sign':
      return { ...key, run: { ...key.run, arguments: key.run.arguments.map(() => PLACEHOLDER) } }
  }
}
