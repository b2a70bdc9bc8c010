/**
 * Wakes readers that wait for a partition: those of this process directly, those of others by NOTIFY. The NOTIFY is
 * a statement of its own, after the append's commit, at most one in flight with all that was touched meanwhile:
 * inside the append's transaction it would make all commits of the database queue behind one lock. It may be lost
 * at any time; readers look by themselves every READ_POLL_MS (log-reader in event-log.ts).
 */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { PartitionKey } from './log-append.ts'
import type { Database } from './pool.ts'

/** A NOTIFY payload is below 8 000 bytes; what does not fit wakes everybody. */
const PAYLOAD_CHARACTERS_MAX = 7_000
const EVERYTHING = '*'
const RECONNECT_MS = 1_000

export interface WakeupOptions {
  readonly database: Database
  readonly clock: Clock
  readonly logger: Logger
}

export class LogWakeup {
  readonly #options: WakeupOptions
  readonly #channel: string
  readonly #waiters = new Map<string, Set<() => void>>()
  readonly #stopping = new AbortController()
  #touched = new Set<string>()
  #sending: Promise<void> | null = null
  readonly #listening: Promise<void>

  constructor(options: WakeupOptions) {
    this.#options = options
    this.#channel = `${options.database.schema}_log`
    this.#listening = this.#listen()
  }

  /** Calls `wake` whenever the partition grew, until the returned function is called. */
  subscribe(key: PartitionKey, wake: () => void): () => void {
    const name = nameOf(key)
    const waiters = this.#waiters.get(name) ?? new Set()
    this.#waiters.set(name, waiters)
    waiters.add(wake)
    return () => {
      waiters.delete(wake)
      if (waiters.size === 0) this.#waiters.delete(name)
    }
  }

  appended(keys: readonly PartitionKey[]): void {
    for (const key of keys) {
      const name = nameOf(key)
      this.#wake(name)
      this.#touched.add(name)
    }
    this.#sending ??= this.#send()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake(EVERYTHING)
    await this.#sending
    await this.#listening
  }

  #wake(name: string): void {
    if (name === EVERYTHING) for (const waiters of this.#waiters.values()) for (const wake of waiters) wake()
    else for (const wake of this.#waiters.get(name) ?? []) wake()
  }

  async #send(): Promise<void> {
    while (this.#touched.size > 0) {
      const names = [...this.#touched].join(',')
      this.#touched = new Set()
      const payload = names.length > PAYLOAD_CHARACTERS_MAX ? EVERYTHING : names
      try {
        // Nothing to make durable: this commit need not wait for the disk.
        await this.#options.database.query(
          "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
          [this.#channel, payload],
        )
      } catch (error) {
        this.#options.logger.debug(
          { error },
          'readers in other processes were not woken; they look by themselves',
        )
      }
    }
    this.#sending = null
  }

  async #listen(): Promise<void> {
    const { database, clock, logger } = this.#options
    const stopped = Promise.withResolvers<void>()
    this.#stopping.signal.addEventListener('abort', () => {
      stopped.resolve()
    })
    while (!this.#stopping.signal.aborted) {
      try {
        await using connection = await database.connect((_channel, payload) => {
          for (const name of payload.split(',')) this.#wake(name)
        })
        await connection.query(`LISTEN ${this.#channel}`)
        // What was appended while nobody listened.
        this.#wake(EVERYTHING)
        await Promise.race([connection.closed, stopped.promise])
      } catch (error) {
        logger.debug({ error }, 'not listening for appends of other processes; trying again')
      }
      await clock.sleep(RECONNECT_MS, this.#stopping.signal)
    }
  }
}

function nameOf({ topicNo, partition }: PartitionKey): string {
  return `${topicNo}/${partition}`
}
