/**
 * Keys and schemes of later versions, each with what to use until then: refused by name instead of being called
 * unknown, and never taken for a misspelling.
 */

const PROXY = 'limit it at the proxy in front'

/** `*` is the name of a source or handler. */
const later: Readonly<Record<string, string>> = {
  alerts: 'infra/prometheus/alerts.yml and an Alertmanager',
  pools: 'pool of a handler',
  'server.ip_rate_limit': PROXY,
  'server.tls': 'end TLS at a proxy in front, and name it in server.trusted_proxies',
  'log.schema_registry': 'schema_registry at the root of the file',
  'archive.role_arn': 'credentials that the environment gives',
  'archive.replica': "the store's own replication",
  'api.metrics_listen': 'api.listen, api.metrics_auth_token',
  'api.tokens': 'api.auth_token',
  'api.oidc': 'api.auth_token',
  'delivery.breaker': 'the built-in breaker, whose numbers are fixed',
  'delivery.default_retry.on': 'every answer but 2xx and 410 is retried',
  'sources.*.allowed_ips': PROXY,
  'sources.*.rate_limit': PROXY,
  'sources.*.log_retention': 'log.retention, for all sources',
  'sources.*.renamed_from': 'keep the name',
  'handlers.*.breaker': 'the built-in breaker, whose numbers are fixed',
  'handlers.*.renamed_from': 'keep the name',
  'handlers.*.retry.on': 'every answer but 2xx and 410 is retried',
}

/** Schemes that have no name of their own yet; `hmac` says many of them. */
export const laterSchemes: readonly string[] =
  'gitlab bitbucket shopify slack twilio sendgrid discord square zoom paddle paypal basic bearer api-key'.split(
    ' ',
  )

/** What to use instead of a key of a later version; null for every other key. */
export function insteadOf(at: readonly PropertyKey[]): string | null {
  const isNamed = at[0] === 'sources' || at[0] === 'handlers'
  const key = at.map((name, index) => (isNamed && index === 1 ? '*' : String(name))).join('.')
  return Object.hasOwn(later, key) ? (later[key] ?? null) : null
}
