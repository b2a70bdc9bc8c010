/**
 * Two kinds of connections with opposite duties (lessons 12, 14). The one that offers fails fast: nothing waits in the
 * client, each command has a deadline. Those that take wait for ever and connect again without end; one on which
 * nothing comes back is closed and opened anew, so that a silent failover cannot leave a taker that only looks alive.
 */
import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import type { RedisTopology } from '../../core/config/config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import type { Logger } from '../../core/log.ts'

/** Of one server, of the one that Sentinels name by now, or of a Cluster. */
export type RedisClient = Redis | Cluster

export interface RedisTls {
  readonly ca?: string | Buffer
  readonly cert?: string | Buffer
  readonly key?: string | Buffer
}

export interface RedisClientOptions {
  /** redis:// or rediss://, with user, password and number of the database where needed. */
  readonly url: string
  /** TLS with these, also where the URL says redis://; null leaves it to the URL. */
  readonly tls: RedisTls | null
  /** Absent: the one server of the URL. */
  readonly topology?: RedisTopology
  readonly logger: Logger
}

const CONNECT_TIMEOUT_MS = 5_000
const RECONNECT_MS_MIN = 50
const RECONNECT_MS_MAX = 2_000
const KEEP_ALIVE_MS = 10_000
const DEFAULT_PORT = 6379
/** While a Cluster fails over, its nodes point to one that is gone. */
const REDIRECTION_MS = 200
const REDIRECTIONS_OFFERED = 5
/** How long the offering side waits for one answer. */
const COMMAND_TIMEOUT_MS = 2_000
/** How long a taker's blocking read lasts at most. */
export const BLOCK_SECONDS = 5
/** A connection that owes an answer for so long is dead, also one that reads blockingly. */
const SILENCE_MS_MAX = 2 * BLOCK_SECONDS * 1_000

const CONNECTION = {
  // BullMQ's scripts and replies are made for it.
  protocol: 2,
  connectTimeout: CONNECT_TIMEOUT_MS,
  keepAlive: KEEP_ALIVE_MS,
  // A server that was demoted keeps its connections: the address may lead to another one by now.
  reconnectOnError: ({ message }) => message.includes('READONLY'),
} as const satisfies RedisOptions

function retryDelayMs(times: number): number {
  return Math.min(RECONNECT_MS_MIN * 2 ** Math.min(times, 16), RECONNECT_MS_MAX)
}

/** Connected by the caller. */
export function createOfferingClient(options: RedisClientOptions): RedisClient {
  return createClient(
    options,
    {
      maxRetriesPerRequest: 1,
      autoResendUnfulfilledCommands: false,
      commandTimeout: COMMAND_TIMEOUT_MS,
      socketTimeout: 2 * COMMAND_TIMEOUT_MS,
    },
    { lazyConnect: true, enableOfflineQueue: false, maxRedirections: REDIRECTIONS_OFFERED },
  )
}

export function createTakingClient(options: RedisClientOptions): RedisClient {
  const connection = { maxRetriesPerRequest: null, socketTimeout: SILENCE_MS_MAX }
  return createClient(options, connection, { maxRedirections: Number.MAX_SAFE_INTEGER })
}

/** What a failed command means for the caller. Refusals of the server are told apart from its absence. */
export function mapRedisError(error: unknown): HooktrailError {
  if (error instanceof HooktrailError) return error
  // A Cluster tells that no node answered, and keeps to itself what the last one said.
  const said = error instanceof Error && 'lastNodeError' in error ? (error.lastNodeError ?? error) : error
  const reason = messageOf(said)
  const code = /^(?:NOAUTH|WRONGPASS|NOPERM|ERR invalid password)/.test(reason)
    ? 'QUEUE_REFUSED'
    : 'QUEUE_UNAVAILABLE'
  return new HooktrailError(code, { reason }, error)
}

/** What holds for each connection, and what for the client as a whole. */
type OfConnection = Omit<
  RedisOptions,
  'replyMapping' | 'retryStrategy' | 'enableOfflineQueue' | 'host' | 'port'
>
type OfClient = Pick<ClusterOptions, 'lazyConnect' | 'enableOfflineQueue' | 'maxRedirections'>

function createClient(options: RedisClientOptions, own: OfConnection, ofClient: OfClient = {}): RedisClient {
  const { url, tls, logger, topology = { kind: 'single' } } = options
  const connection = { ...CONNECTION, ...(tls === null ? {} : { tls }), ...own }
  const client =
    topology.kind === 'cluster'
      ? createCluster(url, topology.addresses, connection, ofClient)
      : new Redis(url, {
          ...connection,
          lazyConnect: ofClient.lazyConnect ?? false,
          enableOfflineQueue: ofClient.enableOfflineQueue ?? true,
          retryStrategy: retryDelayMs,
          ...(topology.kind === 'sentinels' ? sentinelOptions(options, topology) : {}),
        })
  client.on('error', (error) => {
    logger.debug({ reason: messageOf(error) }, 'a connection to Redis failed; it connects again')
  })
  return client
}

/** The Sentinels are asked at each connection; a server that hangs or was demoted loses its own by the bounds above. */
function sentinelOptions(
  { url, tls }: RedisClientOptions,
  { addresses, username, password }: Extract<RedisTopology, { kind: 'sentinels' }>,
): Omit<RedisOptions, 'replyMapping'> {
  const { hostname, protocol } = new URL(url)
  const isSecure = tls !== null || protocol === 'rediss:'
  return {
    name: decodeURIComponent(hostname),
    sentinels: addresses.map(endpointOf),
    ...(username === null ? {} : { sentinelUsername: username }),
    ...(password === null ? {} : { sentinelPassword: password }),
    ...(isSecure ? { enableTLSForSentinelMode: true, sentinelTLS: tls ?? {} } : {}),
    sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
    sentinelRetryStrategy: retryDelayMs,
  }
}

/** Any node that answers leads to the others. */
function createCluster(
  url: string,
  addresses: readonly string[],
  connection: OfConnection,
  ofClient: OfClient,
): Cluster {
  const { host, username, password, protocol } = new URL(url)
  return new Cluster([host, ...addresses].map(endpointOf), {
    ...ofClient,
    clusterRetryStrategy: retryDelayMs,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    retryDelayOnMoved: REDIRECTION_MS,
    retryDelayOnFailover: REDIRECTION_MS,
    retryDelayOnClusterDown: REDIRECTION_MS,
    retryDelayOnTryAgain: REDIRECTION_MS,
    // Names belong to certificates; the nodes may announce theirs.
    dnsLookup: (address, callback) => {
      callback(null, address)
    },
    redisOptions: {
      ...connection,
      ...(protocol === 'rediss:' ? { tls: connection.tls ?? {} } : {}),
      ...(username === '' ? {} : { username: decodeURIComponent(username) }),
      ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    },
  })
}

function endpointOf(address: string): { host: string; port: number } {
  const { hostname, port } = new URL(`redis://${address}`)
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? DEFAULT_PORT : Number(port) }
}
