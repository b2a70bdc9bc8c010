/**
 * Connections to brokers, lent to one request at a time: a broker answers the requests of a connection in order, so a
 * read that waits for records would hold up everything behind it. As many connections are open as requests were under
 * way at once. A connection on which anything failed is closed, never lent again.
 */
import {
  apiVersionsV1,
  Connection,
  NetworkError,
  TimeoutError,
  type API,
  type Broker,
} from '@platformatic/kafka'
import { connectionOptions, type KafkaOptions } from './kafka-options.ts'
import { BrokerError } from './broker-error.ts'

interface OpenConnection {
  readonly connection: Connection
  readonly versions: ReadonlyMap<number, { readonly min: number; readonly max: number }>
}

const UNSUPPORTED_VERSION = 35

export class Connections {
  readonly #options: KafkaOptions
  readonly #idle = new Map<string, OpenConnection[]>()
  readonly #all = new Set<Connection>()
  #closed = false

  constructor(options: KafkaOptions) {
    this.#options = options
  }

  /**
   * Asks the broker by the newest of these APIs that it knows. An abort ends the request with an error. A connection
   * that had been idle may turn out dead: then once more on a new one, which every request of ours survives.
   */
  async ask<A extends unknown[], R>(
    broker: Broker,
    apis: readonly API<A, R>[],
    args: A,
    signal?: AbortSignal,
  ): Promise<R> {
    const idle = this.#takeIdle(broker)
    if (idle === null) return this.#askOn(await this.#open(broker), broker, { apis, args, signal })
    try {
      return await this.#askOn(idle, broker, { apis, args, signal })
    } catch (error) {
      if (!wasClosed(error) || signal?.aborted === true) throw error
      this.#closeIdle(broker)
      return this.#askOn(await this.#open(broker), broker, { apis, args, signal })
    }
  }

  close(): void {
    this.#closed = true
    this.#idle.clear()
    for (const connection of this.#all) destroy(connection)
  }

  async #askOn<A extends unknown[], R>(
    open: OpenConnection,
    broker: Broker,
    { apis, args, signal }: { apis: readonly API<A, R>[]; args: A; signal: AbortSignal | undefined },
  ): Promise<R> {
    const { connection, versions } = open
    const end = (): void => {
      destroy(connection)
    }
    signal?.addEventListener('abort', end)
    try {
      if (signal?.aborted === true) throw new NetworkError('the wait was ended')
      const answer = await newest(apis, versions).async(connection, ...args)
      this.#giveBack(broker, open)
      return answer
    } catch (error) {
      destroy(connection)
      throw signal?.aborted === true ? new NetworkError('the wait was ended', { canRetry: false }) : error
    } finally {
      signal?.removeEventListener('abort', end)
    }
  }

  #takeIdle(broker: Broker): OpenConnection | null {
    const idle = this.#idle.get(nameOf(broker)) ?? []
    for (let open = idle.pop(); open !== undefined; open = idle.pop())
      if (open.connection.isConnected()) return open
    return null
  }

  #giveBack(broker: Broker, open: OpenConnection): void {
    if (this.#closed || !open.connection.isConnected()) {
      destroy(open.connection)
      return
    }
    const idle = this.#idle.get(nameOf(broker)) ?? []
    this.#idle.set(nameOf(broker), idle)
    idle.push(open)
  }

  #closeIdle(broker: Broker): void {
    for (const { connection } of this.#idle.get(nameOf(broker)) ?? []) destroy(connection)
    this.#idle.delete(nameOf(broker))
  }

  async #open(broker: Broker): Promise<OpenConnection> {
    if (this.#closed) throw new NetworkError('the log is closed', { canRetry: false })
    const connection = new Connection(this.#options.clientId, connectionOptions(this.#options, [broker.host]))
    // Whoever waits on the connection is told by its request; an event without a listener would end the process.
    connection.on('error', () => undefined)
    connection.on('close', () => {
      this.#all.delete(connection)
      destroy(connection)
    })
    this.#all.add(connection)
    try {
      await connection.connect(broker.host, broker.port)
      const { apiKeys } = await apiVersionsV1.api.async(connection, '', '')
      const versions = apiKeys.map(
        ({ apiKey, minVersion: min, maxVersion: max }) => [apiKey, { min, max }] as const,
      )
      return { connection, versions: new Map(versions) }
    } catch (error) {
      this.#all.delete(connection)
      // One that never connected has no socket left to end.
      if (connection.isConnected()) destroy(connection)
      throw error
    }
  }
}

function newest<A extends unknown[], R>(
  apis: readonly API<A, R>[],
  versions: OpenConnection['versions'],
): API<A, R> {
  const known = apis.filter(({ key, version }) => {
    const range = versions.get(key)
    return range !== undefined && version >= range.min && version <= range.max
  })
  const [first, ...rest] = known
  if (first === undefined) throw new BrokerError(UNSUPPORTED_VERSION)
  return rest.reduce((best, api) => (api.version > best.version ? api : best), first)
}

function wasClosed(error: unknown): boolean {
  return error instanceof NetworkError && !(error instanceof TimeoutError)
}

function nameOf({ host, port }: Broker): string {
  return `${host}:${port}`
}

/** The client's own close waits for the broker; but only it ends the timer that would authenticate again. */
function destroy(connection: Connection): void {
  connection.close(() => undefined)
  connection.socket.destroy()
}
