/** From parsed sections to the Config that processes are handed: names, units and defaults that depend on each other. */
import type { z } from 'zod'
import type { Retention } from '../archive/retention.ts'
import { buildArchiveKey } from './archive-key-field.ts'
import type {
  ArchiveRetention,
  Config,
  HandlerConfig,
  RetryConfig,
  Settings,
  SourceConfig,
  VerifyConfig,
} from './config.ts'
import {
  buildCredentials,
  buildKafka,
  buildRedis,
  buildRegistry,
  buildS3,
  buildTls,
} from './build-services.ts'
import type {
  handlerSchema,
  retentionSchema,
  retrySchema,
  Sections,
  sourceSchema,
  verifySchema,
} from './schema.ts'

export type RawSource = z.output<typeof sourceSchema>
export type RawHandler = z.output<typeof handlerSchema>

const IDLE_HEARTBEAT_MS = 900_000

export type ConfigBody = Omit<Settings, 'redacted' | 'sources' | 'handlers' | 'digestKey'>

export function buildBody({
  server,
  log,
  database,
  queue,
  archive,
  api,
  delivery,
  schema_registry: registry,
  worker,
}: Sections): ConfigBody {
  return {
    server: {
      host: server.host,
      port: server.port,
      bodyBytesMax: server.max_body,
      inFlightBytesMax: server.max_inflight_bytes,
      trustedProxies: server.trusted_proxies,
    },
    log: {
      kafka: buildKafka(log),
      topicPrefix: log.topic_prefix,
      partitions: log.partitions,
      retentionMs: log.retention,
      disk: {
        capacityBytes: log.disk.capacity ?? null,
        alarmRatio: log.disk.alarm,
        shedRatio: log.disk.shed,
      },
    },
    database: { url: database.url ?? null, connectionsMax: database.max_connections },
    queue: { redis: buildRedis(queue) },
    archive: buildArchive(archive),
    api: {
      listen: api.listen ?? null,
      authToken: api.auth_token ?? null,
      metricsAuthToken: api.metrics_auth_token ?? null,
      requireReason: api.require_reason,
      releaseToken: api.release_token ?? null,
    },
    delivery: {
      signingSecrets: delivery.signing_secrets,
      signingKeys: delivery.signing_keys,
      eventTtlMs: delivery.event_ttl ?? null,
      disableAfterMs: delivery.disable_after,
      responseBytesKept: delivery.response_bytes_kept,
    },
    schemaRegistry: buildRegistry(registry),
    worker: {
      retentionHours: worker.retention_hours,
      deadRetentionHours: worker.dead_retention_hours,
      concurrencyMax: worker.max_concurrency,
      drainTimeoutMs: worker.drain_timeout,
    },
  }
}

function buildArchive(archive: Sections['archive']): Config['archive'] {
  return {
    s3: buildS3(archive),
    directory: archive.directory ?? null,
    format: archive.format,
    worm: archive.worm,
    retention: buildRetention(archive),
    probeCredentials: buildCredentials(archive.probe_credentials),
    roll: { bytesMax: archive.roll.bytes, recordsMax: archive.roll.records, ageMsMax: archive.roll.age },
    heartbeatMs: archive.heartbeat,
    runningRootMs: archive.running_root,
    idleHeartbeatMs: archive.idle_heartbeat ?? Math.max(archive.heartbeat, IDLE_HEARTBEAT_MS),
    signingKey: buildArchiveKey(archive.signing_key),
    nextSigningKey: buildArchiveKey(archive.next_signing_key),
    delegations: archive.delegations,
    publicKey: archive.public_key === undefined || archive.public_key === '' ? null : archive.public_key,
    anchors: archive.anchors,
  }
}

export function buildSource(name: string, raw: RawSource, server: Sections['server']): SourceConfig {
  return {
    name,
    verify: buildVerify(raw.verify),
    secrets: raw.secrets ?? (raw.secret === undefined ? [] : [raw.secret]),
    dedup: {
      key: raw.dedup.key ?? null,
      windowMs: raw.dedup.window,
      onConflict: raw.dedup.on_conflict,
      onResend: raw.dedup.on_resend,
    },
    orderBy: raw.order_by ?? null,
    type: raw.type ?? null,
    deadlineMs: raw.deadline,
    bodyBytesMax: raw.max_body ?? server.max_body,
    schema: buildSchema(raw.schema),
    archiveRetention: raw.archive_retention === undefined ? null : retentionOf(raw.archive_retention),
  }
}

/** check-worm.ts has seen that it is there where it is needed. */
function buildRetention({
  worm,
  retention,
  retention_by_topic: own,
}: Sections['archive']): ArchiveRetention | null {
  if (worm === 'off' || retention === undefined) return null
  const entries = Object.entries(own).flatMap(([topic, raw]) =>
    raw === undefined ? [] : [[topic, retentionOf(raw)] as const],
  )
  return { fallback: retentionOf(retention), own: Object.fromEntries(entries) }
}

function retentionOf({ mode, period }: z.output<typeof retentionSchema>): Retention {
  return { mode, periodMs: period }
}

function buildSchema(raw: RawSource['schema']): SourceConfig['schema'] {
  return raw === undefined ? null : { subject: raw.subject, mode: raw.mode, onFailure: raw.on_failure }
}

function buildVerify(raw: z.output<typeof verifySchema>): VerifyConfig {
  const { scheme, header, prefix, algorithm, encoding, signed, tolerance } = raw
  return {
    scheme,
    hmac:
      scheme === 'hmac' && header !== undefined
        ? {
            header,
            prefix,
            algorithm,
            encoding,
            signed,
            timestampHeader: raw.timestamp_header ?? null,
            idHeader: raw.id_header ?? null,
          }
        : null,
    toleranceSeconds: tolerance === undefined ? null : Math.ceil(tolerance / 1000),
  }
}

export function buildHandler(name: string, raw: RawHandler, delivery: Sections['delivery']): HandlerConfig {
  return {
    name,
    source: raw.source,
    events: raw.events,
    filter: raw.filter ?? null,
    transform: raw.transform ?? null,
    url: raw.url,
    method: raw.method,
    headers: raw.headers,
    allowPrivate: raw.allow_private,
    timeoutMs: raw.timeout ?? delivery.timeout,
    retry: buildRetry(raw.retry ?? delivery.default_retry),
    concurrency: raw.concurrency,
    ratePerSecond: raw.rate_limit ?? null,
    pool: raw.pool,
    start: raw.start,
    signingSecrets: raw.signing_secrets ?? [],
    signingKeys: raw.signing_keys ?? [],
    tls: buildTls(raw.tls),
  }
}

function buildRetry({ max, backoff, interval, max_interval }: z.output<typeof retrySchema>): RetryConfig {
  if (backoff === 'exponential')
    return {
      attemptsMax: max,
      backoff: { kind: 'exponential', intervalMs: interval, intervalMsMax: max_interval },
    }
  if (backoff === 'fixed') return { attemptsMax: max, backoff: { kind: 'fixed', intervalMs: interval } }
  return { attemptsMax: max, backoff: { kind: 'list', delaysMs: backoff } }
}
