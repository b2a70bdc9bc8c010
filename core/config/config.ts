/**
 * The configuration after it was read, checked and completed with defaults: what every process is handed.
 * Durations are milliseconds, sizes bytes. core/config/read-config.ts makes it from YAML or reports every fault.
 */
import type { SegmentFormat } from '../archive/manifest.ts'
import type { WormMode } from '../archive/policy.ts'
import type { Retention } from '../archive/retention.ts'

export interface Config {
  /** Names this configuration, secrets included: see core/config/generation.ts. */
  readonly generation: string
  /** The configuration for people: secrets replaced; JSON-able. */
  readonly redacted: Readonly<Record<string, unknown>>
  /** Null on one box until $HOOKTRAIL_HOME/keys/digest.key was made. */
  readonly digestKey: string | null
  readonly server: ServerConfig
  readonly log: LogConfig
  readonly database: DatabaseConfig
  readonly queue: QueueConfig
  readonly archive: ArchiveConfig
  readonly api: ApiConfig
  readonly delivery: DeliveryConfig
  /** Null: there is none. */
  readonly schemaRegistry: SchemaRegistryConfig | null
  readonly worker: WorkerConfig
  readonly sources: readonly SourceConfig[]
  readonly handlers: readonly HandlerConfig[]
}

/** What the files say. The generation needs the digest key, which one box keeps in its home. */
export type Settings = Omit<Config, 'generation'>

export interface ServerConfig {
  readonly host: string
  readonly port: number
  readonly bodyBytesMax: number
  readonly inFlightBytesMax: number
  readonly trustedProxies: readonly string[]
}

/** PEM texts; null: the system's certificates, no client certificate. */
export interface TlsConfig {
  readonly ca: string | null
  readonly cert: string | null
  readonly key: string | null
}

export type SaslConfig =
  | { readonly mechanism: 'OAUTHBEARER'; readonly token: string }
  | {
      readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
      readonly username: string
      readonly password: string
    }

export interface KafkaConfig {
  readonly brokers: readonly string[]
  readonly replication: number
  readonly tls: TlsConfig | null
  readonly sasl: SaslConfig | null
}

export interface QueueConfig {
  /** Null: jobs are taken from the job store alone. */
  readonly redis: RedisConfig | null
}

export interface RedisConfig {
  readonly url: string
  readonly tls: TlsConfig | null
  readonly topology: RedisTopology
}

/** Addresses are `host:port`. */
export type RedisTopology =
  | { readonly kind: 'single' }
  | {
      readonly kind: 'sentinels'
      readonly addresses: readonly string[]
      readonly username: string | null
      readonly password: string | null
    }
  | { readonly kind: 'cluster'; readonly addresses: readonly string[] }

export interface S3Config {
  readonly bucket: string
  /** '' where there is none; no slash at its ends. */
  readonly prefix: string
  /** Null: Amazon's for the region. */
  readonly endpoint: string | null
  /** PEM; null: the system's. */
  readonly ca: string | null
  readonly region: string
  /** Null: the default chain. */
  readonly credentials: { readonly accessKey: string; readonly secretKey: string } | null
  readonly kmsKey: string | null
  readonly storageClass: string | null
}

export interface SchemaRegistryConfig {
  /** Base of its Confluent API. */
  readonly url: string
  /** PEM; null: the system's. */
  readonly ca: string | null
  readonly credentials: { readonly username: string; readonly password: string } | null
}

export interface LogConfig {
  /** Null: the log lives in Postgres. */
  readonly kafka: KafkaConfig | null
  readonly topicPrefix: string
  readonly partitions: number
  readonly retentionMs: number
  readonly disk: {
    readonly capacityBytes: number | null
    readonly alarmRatio: number
    readonly shedRatio: number
  }
}

export interface DatabaseConfig {
  /** Null: hooktrail starts its own Postgres below $HOOKTRAIL_HOME. */
  readonly url: string | null
  readonly connectionsMax: number
}

/** A place that sees checkpoints, so that what they cover cannot be rewritten unnoticed. */
export type AnchorConfig =
  /** `certificate`: PEM of the authority, or of who vouches for it; null: whoever answers is taken. */
  | { readonly type: 'rfc3161'; readonly url: string; readonly certificate: string | null }
  | { readonly type: 'push'; readonly to: PushPlace }

export type PushPlace =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'webhook'; readonly url: string }
  | { readonly kind: 'bucket'; readonly bucket: string; readonly prefix: string }

export interface ArchiveConfig {
  /** Null: the archive is a folder. */
  readonly s3: S3Config | null
  /** Null: $HOOKTRAIL_HOME/archive. */
  readonly directory: string | null
  readonly format: SegmentFormat
  readonly worm: WormMode
  /** Null where `worm` is off. */
  readonly retention: ArchiveRetention | null
  /** Of who may delete below probe/ and nothing else; null: the archive's own. */
  readonly probeCredentials: S3Config['credentials']
  readonly roll: { readonly bytesMax: number; readonly recordsMax: number; readonly ageMsMax: number }
  readonly heartbeatMs: number
  /** Cadence when nothing changes. */
  readonly idleHeartbeatMs: number
  /** The root of each open segment is told to the other archivers this often. */
  readonly runningRootMs: number
  /** Null: $HOOKTRAIL_HOME/keys/archive.key, made at first start. */
  readonly signingKey: ArchiveKeyConfig | null
  /** Takes its place; null: none, or what lies in the home beside it. */
  readonly nextSigningKey: ArchiveKeyConfig | null
  /** Notes of a root key. */
  readonly delegations: readonly string[]
  /** Verifier key line, believed beside that of `signingKey`; null: where there is neither, $HOOKTRAIL_HOME/keys/archive.pub. */
  readonly publicKey: string | null
  readonly anchors: readonly AnchorConfig[]
}

/** Ed25519; PEM is PKCS #8. */
export type ArchiveKeyConfig =
  | { readonly kind: 'pem'; readonly pem: string }
  | { readonly kind: 'file'; readonly file: string }
  /** A program that prints PEM. */
  | { readonly kind: 'command'; readonly run: KeyCommand }
  /** A program that signs what it reads, with the key of this verifier key line. */
  | { readonly kind: 'sign'; readonly run: KeyCommand; readonly vkey: string }

export interface KeyCommand {
  readonly program: string
  readonly arguments: readonly string[]
  readonly timeoutMs: number
}

/** How long objects stay locked. */
export interface ArchiveRetention {
  readonly fallback: Retention
  /** Of hooktrail's own topics, by the last part of their names. */
  readonly own: Readonly<Partial<Record<'deliveries' | 'audit' | 'rejected', Retention>>>
}

export interface ApiConfig {
  /** `host:port`; null: the server's own listener. */
  readonly listen: string | null
  /** Null: $HOOKTRAIL_HOME/token, made at first start. */
  readonly authToken: string | null
  readonly metricsAuthToken: string | null
  readonly requireReason: boolean
  /** Releases legal holds, beside the API's own token; null: nobody can. */
  readonly releaseToken: string | null
}

export interface RetryConfig {
  /** Attempts in all. */
  readonly attemptsMax: number
  readonly backoff:
    | { readonly kind: 'list'; readonly delaysMs: readonly number[] }
    | { readonly kind: 'exponential'; readonly intervalMs: number; readonly intervalMsMax: number }
    | { readonly kind: 'fixed'; readonly intervalMs: number }
}

export interface DeliveryConfig {
  readonly signingSecrets: readonly string[]
  /** Ed25519 private keys: PEM, or `whsk_` and base64. */
  readonly signingKeys: readonly string[]
  readonly eventTtlMs: number | null
  /** A handler that has had no success for so long, and fails still, is disabled. */
  readonly disableAfterMs: number
  readonly responseBytesKept: { readonly ok: number; readonly failed: number }
}

export interface WorkerConfig {
  readonly retentionHours: number
  readonly deadRetentionHours: number
  readonly concurrencyMax: number
  readonly drainTimeoutMs: number
}

export type Encoding = 'hex' | 'base64'

/** One row of the scheme table, or the generic `hmac`. */
export interface VerifyConfig {
  readonly scheme: 'github' | 'stripe' | 'standard-webhooks' | 'hmac' | 'none'
  /** Only for `hmac`; the other schemes bring their own. */
  readonly hmac: HmacConfig | null
  /** Overrides the scheme's own tolerance. */
  readonly toleranceSeconds: number | null
}

export interface HmacConfig {
  readonly header: string
  readonly prefix: string
  readonly algorithm: 'sha1' | 'sha256' | 'sha512'
  readonly encoding: Encoding
  /** Template of the signed content with {timestamp}, {id} and {body}. */
  readonly signed: string
  readonly timestampHeader: string | null
  readonly idHeader: string | null
}

export interface SourceConfig {
  readonly name: string
  readonly verify: VerifyConfig
  readonly secrets: readonly string[]
  readonly dedup: {
    /** RFC 9535 path into the body, `header:<name>`, or null: the scheme's default, else none. */
    readonly key: string | null
    readonly windowMs: number
    readonly onConflict: 'deliver' | 'drop'
    /** What a repetition does to a job that is dead or discarded. */
    readonly onResend: 'revive' | 'drop'
  }
  /** RFC 9535 path or `header:<name>` of the ordering key; null: the dedup key. */
  readonly orderBy: string | null
  /** RFC 9535 path or `header:<name>` of the type; null: the scheme's default. */
  readonly type: string | null
  readonly deadlineMs: number
  readonly bodyBytesMax: number
  /** Null: any body will do. */
  readonly schema: SourceSchemaConfig | null
  /** Null: archive.retention. */
  readonly archiveRetention: Retention | null
}

export interface SourceSchemaConfig {
  readonly subject: string
  readonly mode: 'validate' | 'decode'
  readonly onFailure: 'reject' | 'accept'
}

export interface HandlerConfig {
  readonly name: string
  readonly source: string
  /** Patterns: exact, `*`, `prefix.*`; empty = all. */
  readonly events: readonly string[]
  /** CEL, checked when the configuration is read. */
  readonly filter: string | null
  /** JSONata that makes the request's body; null: the bytes as they came. */
  readonly transform: string | null
  readonly url: string
  readonly method: 'POST' | 'PUT' | 'PATCH'
  readonly headers: Readonly<Record<string, string>>
  readonly allowPrivate: boolean | readonly string[]
  readonly timeoutMs: number
  readonly retry: RetryConfig
  /** Requests at once, of all dispatchers together. */
  readonly concurrency: number
  /** Requests a second, of all dispatchers together; null: no limit. */
  readonly ratePerSecond: number | null
  readonly pool: string
  readonly start: 'latest' | 'earliest'
  /** Overrides delivery.signing_secrets. */
  readonly signingSecrets: readonly string[]
  /** Overrides delivery.signing_keys. */
  readonly signingKeys: readonly string[]
  /** Null: the system's certificates, no client certificate. */
  readonly tls: TlsConfig | null
}
