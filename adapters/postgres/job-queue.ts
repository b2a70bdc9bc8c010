/**
 * The job store as its own queue: a take is the claim. When nothing is due it waits for a hint of this process
 * (offer), one of another process (NOTIFY), the next due time, or SLOW_POLL_MS: hints may be lost, polls are not.
 */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { JobQueue, TakeRequest } from '../../core/ports/job-queue.ts'
import type { DeliveryStore, TakenJob } from '../../core/ports/job-store.ts'
import type { Database } from './pool.ts'
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
): JobQueue & AsyncDisposable {
  return new PostgresJobQueue(database, store, options)
}

class PostgresJobQueue implements JobQueue, AsyncDisposable {
  readonly driver = 'postgres'
  readonly #database: Database
  readonly #store: Pick<DeliveryStore, 'takeDue'>
  readonly #options: PostgresJobQueueOptions
  readonly #stopping = new AbortController()
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
    while (!signal.aborted && !this.#stopping.signal.aborted) {
      const jobs = await this.#lookOrWait(request, signal)
      if (jobs.length > 0) return jobs
    }
    return []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    await this.#wakeup?.stop()
  }

  /** Takes what is due; resolves [] after it has waited for a reason to look again. */
  async #lookOrWait(request: Omit<TakeRequest, 'signal'>, signal: AbortSignal): Promise<readonly TakenJob[]> {
    const waiting = new Waiting()
    // Before the look: an offer between look and wait must not be missed.
    const unsubscribe = this.#waker().subscribe(request.handler, () => {
      waiting.end()
    })
    try {
      const { jobs, nextDueMs } = await this.#store.takeDue(request)
      if (jobs.length > 0) return jobs
      const waitMs = Math.min(SLOW_POLL_MS, Math.max(DUE_WAIT_MS_MIN, nextDueMs ?? SLOW_POLL_MS))
      await waiting.wait(waitMs, this.#options.clock, AbortSignal.any([signal, this.#stopping.signal]))
      return []
    } finally {
      unsubscribe()
    }
  }

  /** Listens from the first use on. */
  #waker(): Wakeup {
    return (this.#wakeup ??= new Wakeup({ database: this.#database, ...this.#options, kind: 'jobs' }))
  }
}

/** A wake-up that came before the wait ends it at once; without a wait nothing is set up. */
class Waiting {
  #hasEnded = false
  #timer: AbortController | null = null

  end(): void {
    this.#hasEnded = true
    this.#timer?.abort()
  }

  async wait(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
    if (this.#hasEnded) return
    this.#timer = new AbortController()
    await clock.sleep(ms, AbortSignal.any([signal, this.#timer.signal]))
  }
}
