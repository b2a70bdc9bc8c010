/**
 * Keys of servers beside Postgres: Kafka, Redis, S3, a schema registry. The first three stand in the sections `log`, `queue`
 * and `archive` beside `driver`; check-drivers.ts refuses them where another driver is chosen, since a key that is read and ignored is
 * a defect.
 */
import { choice, list, secret, section, text, webUrl, whole } from './fields.ts'

const ADDRESS = /^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]+\]):\d{1,5}$/
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
const PREFIX = /^[A-Za-z0-9!_.*'()-]+(?:\/[A-Za-z0-9!_.*'()-]+)*$/

const pem = text.refine((value) => value.includes('-----BEGIN '), {
  error: () => 'must be PEM, such as ${file:/path/ca.pem}',
})

export const tls = section({
  ca: pem.optional().describe("certificates that are trusted; default: the system's"),
  cert: pem.optional().describe('certificate of this client'),
  key: pem.optional().describe('its private key'),
})

const address = text.refine((value) => ADDRESS.test(value) && URL.canParse(`redis://${value}`), {
  error: () => 'must be host:port',
})

export const saslSchema = section({
  mechanism: choice(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER']).describe(
    'how this client proves who it is',
  ),
  username: text.optional().describe('all but OAUTHBEARER'),
  password: secret(1).optional().describe('all but OAUTHBEARER'),
  token: secret(1).optional().describe('OAUTHBEARER'),
})

export const kafkaKeys = {
  brokers: list(address).optional().describe('kafka: host:port of some brokers'),
  replication: whole(1, 9).optional().describe('kafka: copies of each record; default: 3'),
  tls: tls.optional().describe('kafka: `{}` for TLS with the certificates of the system'),
  sasl: saslSchema.optional().describe('kafka: credentials'),
}

export const redisKeys = {
  url: secret(1)
    .optional()
    .describe('redis: redis:// or rediss:// URL; with sentinels its host is the name of their master'),
  tls: tls.optional().describe('redis: certificates for rediss://'),
  sentinels: list(address).optional().describe('redis: host:port of Sentinels, which know the server'),
  sentinel_username: text.optional().describe('redis: where the Sentinels ask for one'),
  sentinel_password: secret(1).optional().describe('redis: where the Sentinels ask for one'),
  cluster: list(address)
    .optional()
    .describe('redis: host:port of other nodes of the Redis Cluster that url names one of; may be empty'),
}

const s3Credentials = section({ access_key: secret(1), secret_key: secret(1) })

export const s3Keys = {
  bucket: text
    .refine((value) => BUCKET.test(value), { error: () => 'must be the name of a bucket' })
    .optional()
    .describe('s3: bucket'),
  prefix: text
    .refine((value) => PREFIX.test(value) && value.length <= 256, {
      error: () => 'must be a path without slashes around it',
    })
    .optional()
    .describe('s3: before all keys; default: none'),
  endpoint: text
    .refine((value) => /^https?:$/.test(URL.parse(value)?.protocol ?? ''), {
      error: () => 'must be an http or https URL',
    })
    .optional()
    .describe("s3: URL of the store; default: Amazon's for the region"),
  ca: pem.optional().describe("s3: certificates that are trusted; default: the system's"),
  region: text.optional().describe('s3: region; default: us-east-1'),
  credentials: s3Credentials
    .optional()
    .describe('s3: default: those of the environment, of a shared file or of the machine'),
  probe_credentials: s3Credentials
    .optional()
    .describe(
      "s3: of who may delete below probe/ alone, for the probe of the lock; default: the archive's own",
    ),
  kms_key: text.optional().describe('s3: key that the store encrypts with'),
  storage_class: text.optional().describe('s3: storage class of the objects'),
}

export const registryKeys = {
  url: webUrl
    .optional()
    .describe('base of the Confluent API of a schema registry, such as https://host/apis/ccompat/v7'),
  ca: pem.optional().describe("certificates that are trusted; default: the system's"),
  credentials: section({ username: text, password: secret(1) })
    .optional()
    .describe('for HTTP basic authentication'),
}
