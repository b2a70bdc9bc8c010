/**
 * Two kinds of connections with opposite duties (lessons 12, 14). The one that offers fails fast: nothing waits in the
 * client, each command has a deadline. Those that take wait for ever and connect again without end; one on which
 * nothing comes back is closed and opened anew, so that a silent failover cannot leave a taker that only looks alive.
 */
import { Redis, type RedisOptions } from 'ioredis'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import type { Logger } from '../../core/log.ts'

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
  readonly logger: Logger
}

const CONNECT_TIMEOUT_MS = 5_000
const RECONNECT_MS_MIN = 50
const RECONNECT_MS_MAX = 2_000
const KEEP_ALIVE_MS = 10_000
/** How long the offering side waits for one answer. */
const COMMAND_TIMEOUT_MS = 2_000
/** How long a taker's blocking read lasts at most. */
export const BLOCK_SECONDS = 5
/** A connection that owes an answer for so long is dead, also one that reads blockingly. */
const SILENCE_MS_MAX = 2 * BLOCK_SECONDS * 1_000

/** Connected by the caller. */
export function createOfferingClient(options: RedisClientOptions): Redis {
  return createClient(options, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    autoResendUnfulfilledCommands: false,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: 2 * COMMAND_TIMEOUT_MS,
  })
}

export function createTakingClient(options: RedisClientOptions): Redis {
  return createClient(options, { maxRetriesPerRequest: null, socketTimeout: SILENCE_MS_MAX })
}

/** What a failed command means for the caller. Refusals of the server are told apart from its absence. */
export function mapRedisError(error: unknown): HooktrailError {
  if (error instanceof HooktrailError) return error
  const reason = messageOf(error)
  const code = /^(?:NOAUTH|WRONGPASS|NOPERM|ERR invalid password)/.test(reason)
    ? 'QUEUE_REFUSED'
    : 'QUEUE_UNAVAILABLE'
  return new HooktrailError(code, { reason }, error)
}

function createClient(
  { url, tls, logger }: RedisClientOptions,
  own: Omit<RedisOptions, 'replyMapping'>,
): Redis {
  const client = new Redis(url, {
    // BullMQ's scripts and replies are made for it.
    protocol: 2,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepAlive: KEEP_ALIVE_MS,
    retryStrategy: (times) => Math.min(RECONNECT_MS_MIN * 2 ** Math.min(times, 16), RECONNECT_MS_MAX),
    // A server that was demoted keeps its connections: the address may lead to another one by now.
    reconnectOnError: ({ message }) => message.includes('READONLY'),
    ...(tls === null ? {} : { tls }),
    ...own,
  })
  client.on('error', (error) => {
    logger.debug({ reason: messageOf(error) }, 'a connection to Redis failed; it connects again')
  })
  return client
}
