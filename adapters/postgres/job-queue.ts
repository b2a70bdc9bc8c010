/**
 * The job store as its own queue: a take is the claim. When nothing is due it waits for a hint of this process
 * (offer), one of another process (NOTIFY), the next due time, or SLOW_POLL_MS: hints may be lost, polls are not.
 */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { StoreQueue, TakeRequest } from '../../core/ports/job-queue.ts'
import type { DeliveryStore, TakenJob } from '../../core/ports/delivery-store.ts'
import type { Database } from './database.ts'
import { Waiter } from './waiter.ts'
import { Wakeup } from './wakeup.ts'

export interface PostgresJobQueueOptions {
  readonly clock: Clock
  readonly logger: Logger
}

const SLOW_POLL_MS = 1_000
const DUE_WAIT_MS_MIN = 5

export function createPostgresJobQueue(
  database: Database,
  store: Pick<DeliveryStore, 'takeDue'>,
  options: PostgresJobQueueOptions,
): StoreQueue & AsyncDisposable {
  return new PostgresJobQueue(database, store, options)
}

class PostgresJobQueue implements StoreQueue, AsyncDisposable {
  readonly driver = 'postgres'
  readonly #database: Database
  readonly #store: Pick<DeliveryStore, 'takeDue'>
  readonly #options: PostgresJobQueueOptions
  readonly #stopping = new AbortController()
  readonly #watches = new Map<string, HandlerWatch>()
  #wakeup: Wakeup | null = null

  constructor(database: Database, store: Pick<DeliveryStore, 'takeDue'>, options: PostgresJobQueueOptions) {
    this.#database = database
    this.#store = store
    this.#options = options
  }

  /** Wakes takers here at once and those of other processes, if there are any, by NOTIFY. */
  offer(handler: string): Promise<void> {
    if (!this.#stopping.signal.aborted) this.#waker().announce([handler])
    return Promise.resolve()
  }

  async take({ signal, ...request }: TakeRequest): Promise<readonly TakenJob[]> {
    const { clock } = this.#options
    const watch = this.#watch(request.handler)
    const ended = AbortSignal.any([signal, this.#stopping.signal])
    while (!ended.aborted) {
      await watch.waiter.wait(watch.restsUntil - clock.monotonic(), clock, ended)
      if (signal.aborted || this.#stopping.signal.aborted) return []
      watch.restsUntil = -Infinity
      const { jobs, nextDueMs } = await this.#store.takeDue(request)
      // Fewer than asked for: nothing else is due until then, or until somebody says so.
      if (jobs.length < request.slots) {
        const restMs = Math.min(SLOW_POLL_MS, Math.max(DUE_WAIT_MS_MIN, nextDueMs ?? SLOW_POLL_MS))
        watch.restsUntil = clock.monotonic() + restMs
      }
      if (jobs.length > 0) return jobs
    }
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#wakeup?.stop()
  }

  /** For as long as the queue lives: what is offered between two takes must not be missed. */
  #watch(handler: string): HandlerWatch {
    const known = this.#watches.get(handler)
    if (known !== undefined) return known
    const watch = { waiter: new Waiter(), restsUntil: -Infinity }
    this.#watches.set(handler, watch)
    this.#waker().subscribe(handler, () => {
      watch.waiter.wake()
    })
    return watch
  }

  /** Listens from the first use on. */
  #waker(): Wakeup {
    return (this.#wakeup ??= new Wakeup({ database: this.#database, ...this.#options, kind: 'jobs' }))
  }
}

/** Whether it is worth to look for due jobs of one handler, as far as this process knows. */
interface HandlerWatch {
  /** Woken by what is offered, also between two takes. */
  readonly waiter: Waiter
  /** Monotonic time until which nothing else is due. */
  restsUntil: number
}
