/**
 * The job store as its own queue: a take is the claim. When nothing is due it waits for a hint of this process
 * (offer), one of another process (NOTIFY), the next due time, or SLOW_POLL_MS: hints may be lost, polls are not.
 */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { JobQueue, TakeRequest } from '../../core/ports/job-queue.ts'
import type { DeliveryStore, TakenJob } from '../../core/ports/job-store.ts'
import type { Database } from './pool.ts'

export interface PostgresJobQueueOptions {
  readonly clock: Clock
  readonly logger: Logger
}

const SLOW_POLL_MS = 1_000
const DUE_WAIT_MS_MIN = 5
const RECONNECT_MS = 1_000
const PAYLOAD_CHARACTERS_MAX = 7_000
const EVERYTHING = '*'

export function createPostgresJobQueue(
  database: Database,
  store: Pick<DeliveryStore, 'takeDue'>,
  options: PostgresJobQueueOptions,
): JobQueue & AsyncDisposable {
  return new PostgresJobQueue(database, store, options)
}

class PostgresJobQueue implements JobQueue, AsyncDisposable {
  readonly driver = 'postgres'
  readonly #database: Database
  readonly #store: Pick<DeliveryStore, 'takeDue'>
  readonly #options: PostgresJobQueueOptions
  readonly #channel: string
  readonly #waiters = new Map<string, Set<() => void>>()
  readonly #stopping = new AbortController()
  #offered = new Set<string>()
  #sending: Promise<void> | null = null
  #listening: Promise<void> | null = null

  constructor(database: Database, store: Pick<DeliveryStore, 'takeDue'>, options: PostgresJobQueueOptions) {
    this.#database = database
    this.#store = store
    this.#options = options
    this.#channel = `${database.schema}_jobs`
  }

  /** Wakes takers here at once and those of other processes by one NOTIFY in flight, which carries all meanwhile. */
  offer(handler: string): Promise<void> {
    this.#wake(handler)
    this.#offered.add(handler)
    this.#sending ??= this.#send()
    return Promise.resolve()
  }

  async take({ signal, ...request }: TakeRequest): Promise<readonly TakenJob[]> {
    this.#listening ??= this.#listen()
    while (!signal.aborted && !this.#stopping.signal.aborted) {
      const jobs = await this.#lookOrWait(request, signal)
      if (jobs.length > 0) return jobs
    }
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#sending
    await this.#listening
  }

  /** Takes what is due; resolves [] after it has waited for a reason to look again. */
  async #lookOrWait(request: Omit<TakeRequest, 'signal'>, signal: AbortSignal): Promise<readonly TakenJob[]> {
    const waiting = new AbortController()
    // Before the look: an offer between look and wait must not be missed.
    const unsubscribe = this.#subscribe(request.handler, () => {
      waiting.abort()
    })
    try {
      const { jobs, nextDueMs } = await this.#store.takeDue(request)
      if (jobs.length > 0) return jobs
      const waitMs = Math.min(SLOW_POLL_MS, Math.max(DUE_WAIT_MS_MIN, nextDueMs ?? SLOW_POLL_MS))
      const reasons = AbortSignal.any([signal, waiting.signal, this.#stopping.signal])
      await this.#options.clock.sleep(waitMs, reasons)
      return []
    } finally {
      unsubscribe()
    }
  }

  #subscribe(handler: string, wake: () => void): () => void {
    const waiters = this.#waiters.get(handler) ?? new Set()
    this.#waiters.set(handler, waiters)
    waiters.add(wake)
    return () => {
      waiters.delete(wake)
      if (waiters.size === 0) this.#waiters.delete(handler)
    }
  }

  #wake(handler: string): void {
    if (handler === EVERYTHING)
      for (const waiters of this.#waiters.values()) for (const wake of waiters) wake()
    else for (const wake of this.#waiters.get(handler) ?? []) wake()
  }

  async #send(): Promise<void> {
    while (this.#offered.size > 0) {
      const names = [...this.#offered].join(',')
      this.#offered = new Set()
      const payload = names.length > PAYLOAD_CHARACTERS_MAX ? EVERYTHING : names
      try {
        // Nothing to make durable: this commit need not wait for the disk.
        await this.#database.query(
          "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
          [this.#channel, payload],
        )
      } catch (error) {
        this.#options.logger.debug(
          { error },
          'takers in other processes were not woken; they look by themselves',
        )
      }
    }
    this.#sending = null
  }

  async #listen(): Promise<void> {
    const { clock, logger } = this.#options
    const stopped = Promise.withResolvers<void>()
    this.#stopping.signal.addEventListener('abort', () => {
      stopped.resolve()
    })
    while (!this.#stopping.signal.aborted) {
      try {
        await using connection = await this.#database.connect((_channel, payload) => {
          for (const handler of payload.split(',')) this.#wake(handler)
        })
        await connection.query(`LISTEN ${this.#channel}`)
        this.#wake(EVERYTHING)
        await Promise.race([connection.closed, stopped.promise])
      } catch (error) {
        logger.debug({ error }, 'not listening for jobs of other processes; trying again')
      }
      await clock.sleep(RECONNECT_MS, this.#stopping.signal)
    }
  }
}
