/**
 * Every key that this version reads, with its kind, default and meaning. The defaults are written as people write them
 * and pass through the same parsers. docs/config.md is held against this file by a test.
 */
import { z } from 'zod'
import { WORM_MODES } from '../archive/policy.ts'
import { anchor } from './anchor-field.ts'
import { archiveKey } from './archive-key-field.ts'
import { laterSchemes } from './later-keys.ts'
import { kafkaKeys, redisKeys, registryKeys, s3Keys, tls } from './service-keys.ts'
import {
  choice,
  cidr,
  duration,
  eventPattern,
  filter,
  flag,
  headerValue,
  list,
  listen,
  publicKey,
  rate,
  ratio,
  secret,
  section,
  selector,
  signingKey,
  size,
  text,
  transform,
  webUrl,
  whole,
} from './fields.ts'

const DAY_MS = 86_400_000
const YEAR_MS = 365 * DAY_MS
const TIMEOUT_MS_MAX = 300_000
const POOL = /^[a-z0-9][a-z0-9_-]{0,62}$/
const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|[0-9A-Fa-f:.]+)$/

const timeout = duration(10, TIMEOUT_MS_MAX, 'from 10ms to 5m')
const backoffDelay = duration(10, 7 * DAY_MS, 'from 10ms to 7d')

/** A word or a list of delays. */
const backoff = z
  .unknown()
  .transform((value, context) => {
    if (value === 'exponential' || value === 'fixed') return value
    const parsed = list(backoffDelay)
      .min(1, { error: () => 'must have at least one delay' })
      .safeParse(value)
    if (parsed.success) return parsed.data
    context.issues.push({
      code: 'custom',
      message: 'must be a list of durations such as [5s, 30s], or exponential or fixed',
      input: undefined,
    })
    return z.NEVER
  })
  .meta({ kind: 'list of durations, exponential, fixed' })

export const retrySchema = section({
  max: whole(1, 1000).prefault(9).describe('attempts in all'),
  backoff: backoff
    .prefault(['5s', '30s', '2m', '10m', '30m', '2h', '6h', '12h'])
    .describe('delays before the second, third … attempt; the last one repeats'),
  interval: backoffDelay.prefault('5s').describe('first delay of exponential, every delay of fixed'),
  max_interval: backoffDelay.prefault('12h').describe('longest delay of exponential'),
})

export const retentionSchema = section({
  mode: choice(['governance', 'compliance']).describe(
    'required: who may lift a lock: an administrator, or nobody',
  ),
  period: duration(1000, 100 * YEAR_MS, 'from 1s to 100y').describe('required: how long objects are locked'),
  confirm: duration(1000, 100 * YEAR_MS, 'from 1s to 100y')
    .optional()
    .describe('compliance: the period once more, since nobody can shorten it afterwards'),
})

const hmacToken = text.optional()

const SCHEMES = ['github', 'stripe', 'standard-webhooks', 'hmac', 'none'] as const

export const verifyMembers = section(
  {
    scheme: choice(SCHEMES, {
      values: laterSchemes,
      instead: 'hmac where it can say how the sender signs',
    }).describe('how the sender signs; `verify: github` is short for it'),
    header: hmacToken.describe('hmac: header that holds the signature'),
    prefix: z
      .string({ error: () => 'must be text' })
      .prefault('')
      .describe('hmac: what stands before the signature'),
    algorithm: choice(['sha1', 'sha256', 'sha512']).prefault('sha256').describe('hmac: hash'),
    encoding: choice(['hex', 'base64']).prefault('hex').describe('hmac: encoding of the signature'),
    signed: text.prefault('{body}').describe('hmac: signed content, from {timestamp}, {id} and {body}'),
    timestamp_header: hmacToken.describe('hmac: header that holds the time, in Unix seconds'),
    id_header: hmacToken.describe('hmac: header that holds the id; also the dedup key'),
    tolerance: duration(1000, DAY_MS, 'from 1s to 1d')
      .optional()
      .describe("how old a signed time may be; default: the scheme's own"),
  },
  `one of ${SCHEMES.join(', ')}, or a mapping with scheme`,
)

/** A word alone is the scheme. */
export const spelledOut = (value: unknown): unknown => (typeof value === 'string' ? { scheme: value } : value)

export const verifySchema = z.preprocess(spelledOut, verifyMembers)

export const sourceSchema = section({
  kind: choice(['webhook'], { values: ['event', 'sns', 'cron'], instead: 'webhook' })
    .prefault('webhook')
    .describe('how events come in'),
  verify: verifySchema.describe('required; `none` must be said'),
  secret: secret(1).optional().describe('the one secret'),
  secrets: list(secret(1)).optional().describe('several secrets while they rotate'),
  dedup: section({
    key: selector.optional().describe("what makes two requests the same event; default: the scheme's own id"),
    window: duration(1000, YEAR_MS, 'from 1s to 365d')
      .prefault('30d')
      .describe('how long a key is remembered'),
    on_conflict: choice(['deliver', 'drop']).prefault('deliver').describe('same key, other bytes'),
    on_resend: choice(['revive', 'drop'])
      .prefault('revive')
      .describe('a repetition of an event whose job is dead or discarded: delivered again, or not'),
  }).prefault({}),
  order_by: selector
    .optional()
    .describe('events with the same value keep their order in the log; default: the dedup key'),
  type: selector.optional().describe("where the event type stands; default: the scheme's own"),
  deadline: duration(100, 60_000, 'from 100ms to 60s')
    .prefault('3s')
    .describe('the sender is answered 503 when the log needs longer'),
  max_body: size(1, 256 * 2 ** 20, 'from 1 byte to 256MiB')
    .optional()
    .describe('default: server.max_body'),
  schema: section({
    subject: text.describe('required: whose schemas in the registry'),
    mode: choice(['validate', 'decode'])
      .prefault('validate')
      .describe('validate: JSON, by the newest version; decode: magic byte and schema id in front'),
    on_failure: choice(['reject', 'accept'])
      .prefault('reject')
      .describe('reject: 422; accept: kept and delivered with a note'),
  })
    .optional()
    .describe('what bodies must fit'),
  archive_retention: retentionSchema
    .optional()
    .describe('how long its events are locked; default: archive.retention'),
})

export const handlerSchema = section({
  source: text.describe('required: the source whose events it gets'),
  events: list(eventPattern).prefault([]).describe('event types; empty means all'),
  filter: filter.optional().describe('only events for which the expression is true'),
  transform: transform.optional().describe('makes the body of the request; default: the bytes as they came'),
  url: webUrl.describe('required: where events go'),
  method: choice(['POST', 'PUT', 'PATCH']).prefault('POST').describe('method of the request'),
  headers: z
    .record(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/), headerValue, {
      error: (issue) =>
        issue.code === 'invalid_type' ? 'must be a mapping of header names to values' : undefined,
    })
    .prefault({})
    .describe('added to every request'),
  allow_private: z
    .union([flag, list(cidr)], {
      error: () => 'must be true, false or a list of ranges such as [10.0.0.0/8]',
    })
    .prefault(false)
    .describe('lets requests go to private addresses'),
  timeout: timeout.optional().describe('default: delivery.timeout'),
  retry: retrySchema.optional().describe('default: delivery.default_retry'),
  concurrency: whole(1, 1000).prefault(20).describe('requests at once, of all dispatchers together'),
  rate_limit: rate
    .optional()
    .describe('requests a second (50, 50/s) or a minute (300/m), of all dispatchers together; default: none'),
  pool: text
    .refine((value) => POOL.test(value), { error: () => 'must match [a-z0-9][a-z0-9_-]{0,62}' })
    .prefault('default')
    .describe('dispatchers that serve it: `dispatcher --pool NAME`'),
  start: choice(['latest', 'earliest']).prefault('latest').describe('where a new handler begins'),
  signing_secrets: list(secret(1)).optional().describe('default: delivery.signing_secrets'),
  signing_keys: list(signingKey).optional().describe('default: delivery.signing_keys'),
  tls: tls.optional().describe('certificates of requests to https URLs'),
})

const host = text.refine((value) => HOST.test(value), { error: () => 'must be a host name or an address' })

export const diskSchema = section({
  capacity: size(2 ** 20, 2 ** 50, 'from 1MiB')
    .optional()
    .describe('room of the log; default: the disk'),
  alarm: ratio.prefault('70%').describe('alarm from here on'),
  shed: ratio.prefault('90%').describe('answers 503 from here on'),
})

export const sectionSchemas = {
  server: section({
    host: host.prefault('0.0.0.0').describe('address to listen on'),
    port: whole(1, 65_535).prefault(8888).describe('port to listen on'),
    max_body: size(1, 256 * 2 ** 20, 'from 1 byte to 256MiB')
      .prefault('5MiB')
      .describe('largest body'),
    max_inflight_bytes: size(1024, 64 * 2 ** 30, 'from 1KiB to 64GiB')
      .prefault('256MiB')
      .describe('bodies that may wait for the log together'),
    trusted_proxies: list(cidr).prefault([]).describe('whose X-Forwarded-For is believed'),
  }),
  log: section({
    driver: choice(['postgres', 'kafka']).prefault('postgres').describe('where the log lives'),
    ...kafkaKeys,
    topic_prefix: text
      .refine((value) => /^[a-z0-9][a-z0-9_-]{0,62}$/.test(value), {
        error: () => 'must match [a-z0-9][a-z0-9_-]{0,62}',
      })
      .prefault('hooktrail')
      .describe('first part of topic names'),
    partitions: whole(1, 64).prefault(3).describe('partitions of each source'),
    retention: duration(1_000, 10 * YEAR_MS, 'from 1s to 10y')
      .prefault('7d')
      .describe('how long archived events stay in the log'),
    disk: diskSchema.prefault({}),
  }),
  database: section({
    url: text
      .refine((value) => /^postgres(?:ql)?:\/\//.test(value), { error: () => 'must be a postgres:// URL' })
      .optional()
      .describe('default: hooktrail starts its own Postgres'),
    max_connections: whole(4, 500).prefault(20).describe('largest pool of one process'),
  }),
  queue: section({
    driver: choice(['postgres', 'redis']).prefault('postgres').describe('who says that a job is due'),
    ...redisKeys,
  }),
  archive: section({
    driver: choice(['directory', 's3']).prefault('directory').describe('where the archive lives'),
    directory: text.optional().describe('directory: default: $HOOKTRAIL_HOME/archive'),
    ...s3Keys,
    format: choice(['jsonl.zst', 'jsonl.gz', 'parquet'])
      .prefault('jsonl.zst')
      .describe('form of new data objects; a change begins with the second segment of each partition'),
    worm: choice(WORM_MODES)
      .prefault('off')
      .describe(
        'object lock: required refuses to start where it does not hold, preferred says so; a folder has none',
      ),
    retention: retentionSchema
      .optional()
      .describe('s3: how long objects are locked; needed unless worm is off'),
    retention_by_topic: section({
      deliveries: retentionSchema.optional().describe('default: archive.retention'),
      audit: retentionSchema.optional().describe('default: archive.retention'),
      rejected: retentionSchema
        .optional()
        .describe('default: governance for 90d, or archive.retention when that is shorter'),
    }).prefault({}),
    roll: section({
      bytes: size(4096, 2 ** 30, 'from 4KiB to 1GiB')
        .prefault('64MiB')
        .describe('a segment ends at this size'),
      records: whole(1, 1_000_000).prefault(100_000).describe('or at this many records'),
      age: duration(100, DAY_MS, 'from 100ms to 1d').prefault('10m').describe('or at this age'),
    }).prefault({}),
    heartbeat: duration(100, DAY_MS, 'from 100ms to 1d')
      .prefault('60s')
      .describe('signed state while something changes'),
    idle_heartbeat: duration(100, 7 * DAY_MS, 'from 100ms to 7d')
      .optional()
      .describe('and while nothing changes; default: 15m, or heartbeat when that is longer'),
    running_root: duration(100, DAY_MS, 'from 100ms to 1d')
      .prefault('30s')
      .describe('what open segments hold is told to the archiver that signs next'),
    signing_key: archiveKey
      .optional()
      .describe('signs the archive; default: made at $HOOKTRAIL_HOME/keys/archive.key'),
    next_signing_key: archiveKey
      .optional()
      .describe('takes the place of signing_key as soon as an archiver starts with it'),
    delegations: list(text)
      .prefault([])
      .describe("notes of the archive's root key, one for each of its keys"),
    public_key: publicKey
      .optional()
      .describe(
        'of the archive, for dispatchers and APIs that do not sign it; default: $HOOKTRAIL_HOME/keys/archive.pub',
      ),
    anchors: list(anchor).prefault([]).describe('third parties that see the checkpoint every hour'),
  }),
  api: section({
    listen: listen.optional().describe("default: the server's own listener"),
    auth_token: secret(16).optional().describe('default: made at $HOOKTRAIL_HOME/token'),
    metrics_auth_token: secret(16).optional().describe('token for /metrics alone; absent: the API token'),
    release_token: secret(16)
      .optional()
      .describe('second token, which the release of a legal hold needs; absent: none can be released'),
    require_reason: flag.prefault(false).describe('changes by hand need a reason'),
  }),
  delivery: section({
    default_retry: retrySchema.prefault({}),
    timeout: timeout.prefault('15s').describe('longest request'),
    signing_secrets: list(secret(1)).prefault([]).describe('whsec_ secrets; requests are signed with each'),
    signing_keys: list(signingKey)
      .prefault([])
      .describe('Ed25519 private keys; requests are signed with each'),
    event_ttl: duration(1000, 10 * YEAR_MS, 'from 1s to 10y')
      .optional()
      .describe('older events are not delivered'),
    disable_after: duration(60_000, YEAR_MS, 'from 1m to 365d')
      .prefault('5d')
      .describe('a handler without a success for so long, that still fails, is disabled'),
    response_bytes_kept: section({
      ok: size(0, 65_536, 'up to 64KiB').prefault(0).describe('of answers 2xx'),
      failed: size(0, 65_536, 'up to 64KiB').prefault(1024).describe('of other answers'),
    }).prefault({}),
  }),
  schema_registry: section(registryKeys),
  worker: section({
    retention_hours: whole(1, 87_600).prefault(72).describe('how long finished jobs can be searched'),
    dead_retention_hours: whole(1, 87_600).prefault(720).describe('how long dead jobs are kept'),
    max_concurrency: whole(1, 10_000).prefault(200).describe('requests at once in one process'),
    drain_timeout: duration(0, 600_000, 'up to 10m')
      .prefault('30s')
      .describe('what runs may finish this long at a stop'),
  }),
}

/** The sections as they are parsed. */
export type Sections = { readonly [K in keyof typeof sectionSchemas]: z.output<(typeof sectionSchemas)[K]> }

export const rootKeys = {
  version: whole(1, 1).describe('required: 1'),
  digest_key: secret(32)
    .optional()
    .describe(
      'key of stored digests; required with database.url, else made at $HOOKTRAIL_HOME/keys/digest.key',
    ),
}

const anything = z.unknown().optional()

/** The file itself; its parts are parsed one by one. */
export const rootSchema = section({
  ...rootKeys,
  ...{ server: anything, log: anything, database: anything, queue: anything, archive: anything },
  ...{ api: anything, delivery: anything, schema_registry: anything, worker: anything },
  ...{ sources: anything, handlers: anything },
})
