/**
 * How Kafka is reached: one plain description, and what the client's connections are given of it. Time limits are ours:
 * the client itself would wait for a dead broker for ever.
 */
import { isIP } from 'node:net'
import type { BaseOptions, Broker, ConnectionOptions } from '@platformatic/kafka'

export interface KafkaOptions {
  /** `host:port` each. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly tls: KafkaTls | null
  readonly sasl: KafkaSasl | null
}

/** PEM. Without `ca` the machine's authorities are trusted; `cert` and `key` are for brokers that ask for them. */
export interface KafkaTls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

export type KafkaSasl =
  | {
      readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
      readonly username: string
      readonly password: string
    }
  /** A function is asked at each authentication, which tokens that expire need. */
  | { readonly mechanism: 'OAUTHBEARER'; readonly token: string | (() => Promise<string>) }

const DEFAULT_PORT = 9092
const CONNECT_MS_MAX = 3_000
/** Longer than the longest wait that a request asks the broker for (fetch-api.ts, produce-api.ts). */
export const REQUEST_MS_MAX = 10_000

/** A name goes into the TLS handshake, an address must not. */
export function connectionOptions({ tls, sasl }: KafkaOptions, hosts: readonly string[]): ConnectionOptions {
  return {
    connectTimeout: CONNECT_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    ...(tls === null ? {} : { tls: { ...tls }, tlsServerName: hosts.every((host) => isIP(host) === 0) }),
    ...(sasl === null ? {} : { sasl: { ...sasl } }),
  }
}

/** For the client's own administration. Its retries are few, because our deadline is behind them. */
export function adminOptions(options: KafkaOptions): BaseOptions {
  return {
    ...connectionOptions(
      options,
      options.brokers.map((broker) => parseBroker(broker).host),
    ),
    clientId: options.clientId,
    bootstrapBrokers: [...options.brokers],
    retries: 2,
    retryDelay: 100,
    metadataMaxAge: 0,
    autocreateTopics: false,
  }
}

export function parseBroker(text: string): Broker {
  const [, host = text, port] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(text) ?? []
  return { host, port: port === undefined ? DEFAULT_PORT : Number(port) }
}
