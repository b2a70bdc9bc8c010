/** The servers of the full size: null where the driver is another. check-drivers.ts has seen that the needed keys are there. */
import type {
  KafkaConfig,
  QueueConfig,
  RedisTopology,
  S3Config,
  SaslConfig,
  SchemaRegistryConfig,
  TlsConfig,
} from './config.ts'
import type { Sections } from './schema.ts'

const REPLICATION = 3
/** Where none is named; what most stores that are not Amazon's answer to. */
export const S3_REGION = 'us-east-1'

export function buildKafka({
  driver,
  brokers = [],
  replication = REPLICATION,
  tls,
  sasl,
}: Sections['log']): KafkaConfig | null {
  return driver === 'kafka' ? { brokers, replication, tls: buildTls(tls), sasl: buildSasl(sasl) } : null
}

export function buildRedis({ driver, url = '', tls, ...more }: Sections['queue']): QueueConfig['redis'] {
  return driver === 'redis' ? { url, tls: buildTls(tls), topology: buildTopology(more) } : null
}

function buildTopology({
  cluster,
  sentinels,
  sentinel_username: username,
  sentinel_password: password,
}: Omit<Sections['queue'], 'driver' | 'url' | 'tls'>): RedisTopology {
  if (cluster !== undefined) return { kind: 'cluster', addresses: cluster }
  if (sentinels !== undefined)
    return {
      kind: 'sentinels',
      addresses: sentinels,
      username: username ?? null,
      password: password ?? null,
    }
  return { kind: 'single' }
}

export function buildS3({ driver, bucket = '', credentials, ...s3 }: Sections['archive']): S3Config | null {
  if (driver !== 's3') return null
  return {
    bucket,
    prefix: s3.prefix ?? '',
    endpoint: s3.endpoint ?? null,
    ca: s3.ca ?? null,
    region: s3.region ?? S3_REGION,
    credentials: buildCredentials(credentials),
    kmsKey: s3.kms_key ?? null,
    storageClass: s3.storage_class ?? null,
  }
}

export function buildCredentials(raw: Sections['archive']['credentials']): S3Config['credentials'] {
  return raw === undefined ? null : { accessKey: raw.access_key, secretKey: raw.secret_key }
}

export function buildRegistry({
  url,
  ca,
  credentials,
}: Sections['schema_registry']): SchemaRegistryConfig | null {
  return url === undefined ? null : { url, ca: ca ?? null, credentials: credentials ?? null }
}

export function buildTls(tls: Sections['queue']['tls']): TlsConfig | null {
  return tls === undefined ? null : { ca: tls.ca ?? null, cert: tls.cert ?? null, key: tls.key ?? null }
}

function buildSasl(sasl: Sections['log']['sasl']): SaslConfig | null {
  if (sasl === undefined) return null
  const { mechanism, username = '', password = '', token = '' } = sasl
  return mechanism === 'OAUTHBEARER' ? { mechanism, token } : { mechanism, username, password }
}
