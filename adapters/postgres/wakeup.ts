/**
 * Wakes those who wait for a name (readers for a partition, takers for a handler): in this thread directly, in other
 * threads of the process by a message, in other processes by NOTIFY. The NOTIFY is a statement of its own, after the commit, at most one in flight with all since:
 * inside the append's transaction it would make all commits of the database queue behind one lock. Logs greet each
 * other on the same channel, and one that knows of no other sends nothing. A notification may be lost at any time;
 * readers look by themselves every READ_POLL_MS (event-log.ts).
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { Database } from './database.ts'

/** A NOTIFY payload is below 8 000 bytes; what does not fit wakes everybody. */
const PAYLOAD_CHARACTERS_MAX = 7_000
const EVERYTHING = '*'
const RECONNECT_MS = 1_000
/** Logs that were killed never said goodbye; beyond this many nothing changes by knowing more. */
const OTHERS_MAX = 64

export interface WakeupOptions {
  readonly database: Database
  /** Part of the channel's name: the channels of a schema are apart. Only waiters of one kind meet on one. */
  readonly kind: 'log' | 'jobs'
  readonly clock: Clock
  readonly logger: Logger
}

export class Wakeup {
  readonly #options: WakeupOptions
  readonly #channel: string
  readonly #waiters = new Map<string, Set<() => void>>()
  readonly #stopping = new AbortController()
  readonly #self: string
  readonly #threads: InstanceType<typeof BroadcastChannel> | null
  readonly #others = new Set<string>()
  #hears = false
  #touched = new Set<string>()
  #sending: Promise<void> | null = null
  readonly #listening: Promise<void>

  constructor(options: WakeupOptions) {
    this.#options = options
    const { schema, processId } = options.database
    this.#channel = `${schema}_${options.kind}`
    this.#self = `${processId ?? randomUUID()}/${randomUUID()}`
    this.#threads = processId === null ? null : this.#meetThreads(`${processId}/${this.#channel}`)
    this.#listening = this.#listen()
  }

  /** Calls `wake` whenever the name is announced, until the returned function is called. */
  subscribe(name: string, wake: () => void): () => void {
    const waiters = this.#waiters.get(name) ?? new Set()
    this.#waiters.set(name, waiters)
    waiters.add(wake)
    return () => {
      waiters.delete(wake)
      if (waiters.size === 0) this.#waiters.delete(name)
    }
  }

  announce(names: readonly string[]): void {
    for (const name of names) {
      this.#wake(name)
      if (!this.#isAlone()) this.#touched.add(name)
    }
    if (names.length > 0) this.#threads?.postMessage(names)
    if (this.#touched.size > 0) this.#sending ??= this.#send()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake(EVERYTHING)
    this.#threads?.close()
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
      await this.#notify(payload)
    }
    this.#sending = null
  }

  async #notify(payload: string): Promise<void> {
    try {
      // Nothing to make durable: this commit need not wait for the disk.
      await this.#options.database.query(
        "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
        [this.#channel, payload],
      )
    } catch (error) {
      this.#options.logger.debug({ error }, 'other processes were not notified; they look by themselves')
    }
  }

  #meetThreads(name: string): InstanceType<typeof BroadcastChannel> {
    const threads = new BroadcastChannel(name)
    threads.onmessage = ({ data }: { readonly data: readonly string[] }) => {
      for (const name of data) this.#wake(name)
    }
    threads.unref()
    return threads
  }

  #isAlone(): boolean {
    return this.#hears && this.#others.size === 0
  }

  /** `<greeting> <log>` or names of partitions. */
  #receive(payload: string): void {
    const [word = '', log] = payload.split(' ')
    if (log === undefined) for (const name of payload.split(',')) this.#wake(name)
    else if (this.#isNear(log)) return
    else if (word === 'bye') this.#others.delete(log)
    else {
      if (this.#others.size < OTHERS_MAX) this.#others.add(log)
      if (word === 'hello') void this.#notify(`here ${this.#self}`)
    }
  }

  /** Itself, or in another thread of this process, which needs no NOTIFY. */
  #isNear(log: string): boolean {
    const { processId } = this.#options.database
    return log === this.#self || (processId !== null && log.startsWith(`${processId}/`))
  }

  async #listen(): Promise<void> {
    for (;;) {
      await this.#listenOnce().catch((error: unknown) => {
        this.#options.logger.debug({ error }, 'not listening to other processes; trying again')
      })
      this.#hears = false
      await this.#options.clock.sleep(RECONNECT_MS, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return
    }
  }

  async #listenOnce(): Promise<void> {
    const { signal } = this.#stopping
    await using connection = await this.#options.database.connect((_channel, payload) => {
      this.#receive(payload)
    })
    await connection.query(`LISTEN ${this.#channel}`)
    // Greeted before it counts as hearing: the other logs' answers come within this same connection.
    await this.#notify(`hello ${this.#self}`)
    this.#hears = true
    // What was appended while nobody listened.
    this.#wake(EVERYTHING)
    const stopped = Promise.withResolvers<void>()
    signal.addEventListener('abort', () => {
      stopped.resolve()
    })
    if (!signal.aborted) await Promise.race([connection.closed, stopped.promise])
    if (signal.aborted) await this.#notify(`bye ${this.#self}`)
  }
}
