/**
 * Takes and delivers the jobs of one handler; nothing here is shared with another handler's sends (I6). The take is
 * the intent (I4): it is durable before the request leaves. A crash between take and outcome leaves an expired lease,
 * which becomes an attempt `unknown`.
 */
import type { Clock } from '../core/clock.ts'
import type { HandlerConfig } from '../core/config/config.ts'
import { ENDED } from '../core/deadline.ts'
import type { Demand } from '../core/demand.ts'
import type { Logger } from '../core/log.ts'
import type { JobQueue } from '../core/ports/job-queue.ts'
import type { TakenJob } from '../core/ports/job-store.ts'
import type { JobDelivery } from './job-delivery.ts'
import { Pace } from '../core/pace.ts'
import { Slots } from './slots.ts'

/** Beyond the handler's timeout: waiting inside a take, reading the payload, writing the outcome. */
export const LEASE_MARGIN_MS = 30_000
const TAKE_JOBS_MAX = 200
/** A take that waits longer is asked again: the lease check counts from before the take, so its wait must be bounded. */
const TAKE_WAIT_MS = 10_000
/** Small takes in a row wait a little for more (pace.ts). */
const QUIET_JOBS_PER_SECOND = 300
const TAKE_PAUSE_MS_MAX = 20
/** Below one part in so many of free slots a take waits a moment, so that it is worth its costs. */
const FREE_SHARE = 4
const SLOTS_PAUSE_MS = 3
/** Outcomes that may wait for the store before no more jobs are taken. */
const PENDING_OUTCOMES_MIN = 256

export interface HandlerRunnerOptions {
  readonly handler: HandlerConfig
  /** This dispatcher's share of the handler's concurrency, until it is told another. */
  readonly concurrency: number
  readonly generation: string
  readonly queue: Pick<JobQueue, 'take'>
  readonly delivery: JobDelivery
  readonly demand?: Pick<Demand, 'note'>
  readonly clock: Clock
  readonly logger: Logger
  /** Called when a job could not be handled at all: a broken invariant. */
  readonly broken: (error: unknown) => void
}

export class HandlerRunner {
  readonly name: string
  readonly handler: string
  readonly leaseMs: number
  readonly #options: HandlerRunnerOptions
  readonly #sends: Slots
  readonly #jobs: Slots
  #concurrency: number
  #pace: Pace

  constructor(options: HandlerRunnerOptions) {
    this.#options = options
    this.handler = options.handler.name
    this.name = `deliver ${this.handler}`
    this.leaseMs = options.handler.timeoutMs + LEASE_MARGIN_MS
    this.#concurrency = options.concurrency
    this.#sends = new Slots(options.concurrency)
    this.#jobs = new Slots(jobsMax(options.concurrency))
    this.#pace = paceFor(options.concurrency)
  }

  /** From now on so many requests at once; what is under way beyond it ends by itself. */
  resize(concurrency: number): void {
    if (concurrency === this.#concurrency) return
    this.#concurrency = concurrency
    this.#sends.resize(concurrency)
    this.#jobs.resize(jobsMax(concurrency))
    this.#pace = paceFor(concurrency)
  }

  /** A step in the loop: resolves with the milliseconds until the next. */
  async run(signal: AbortSignal): Promise<number> {
    const slots = Math.min(this.#sends.free, this.#jobs.free, TAKE_JOBS_MAX)
    const jobs = await this.step(signal)
    // As many as asked for: there are more, and only slots are to be waited for.
    if (jobs >= slots) {
      this.#options.demand?.note()
      return this.#sends.free * FREE_SHARE < this.#concurrency ? SLOTS_PAUSE_MS : 0
    }
    return this.#pace.next(jobs, this.#options.clock.monotonic())
  }

  /** One take; the sends go on behind it. Resolves with how many jobs were taken. */
  async step(signal: AbortSignal): Promise<number> {
    await this.#sends.untilFree(signal)
    await this.#jobs.untilFree(signal)
    if (signal.aborted) return 0
    const { handler, queue, clock, generation } = this.#options
    const slots = Math.min(this.#sends.free, this.#jobs.free, TAKE_JOBS_MAX)
    // Read before the take leaves: whatever the clock of the database says, the lease began later than this.
    const askedAt = clock.monotonic()
    using deadline = this.#deadline(signal)
    const request = { handler: handler.name, slots, leaseMs: this.leaseMs, generation }
    const jobs = await queue.take({ ...request, signal: deadline.signal })
    for (const job of jobs) void this.#deliver(job, askedAt)
    return jobs.length
  }

  #deadline(signal: AbortSignal): Disposable & { readonly signal: AbortSignal } {
    const taken = new AbortController()
    const late = new AbortController()
    void this.#options.clock.sleep(TAKE_WAIT_MS, AbortSignal.any([signal, taken.signal])).then(() => {
      late.abort()
    })
    return {
      signal: late.signal,
      [Symbol.dispose]: () => {
        taken.abort(ENDED)
      },
    }
  }

  /** Resolves when every job that was taken has its outcome written, or `signal` aborts. */
  async drained(signal: AbortSignal): Promise<void> {
    await this.#jobs.untilIdle(signal)
  }

  async #deliver(job: TakenJob, askedAt: number): Promise<void> {
    const { delivery, broken } = this.#options
    this.#sends.take()
    this.#jobs.take()
    let sending = true
    const sent = (): void => {
      if (sending) this.#sends.release()
      sending = false
    }
    try {
      await delivery.deliver(job, { sendBefore: askedAt + this.leaseMs, sent })
    } catch (error) {
      broken(error)
    } finally {
      sent()
      this.#jobs.release()
    }
  }
}

function jobsMax(concurrency: number): number {
  return concurrency + Math.max(PENDING_OUTCOMES_MIN, 4 * concurrency)
}

function paceFor(concurrency: number): Pace {
  return new Pace({
    quietPerSecond: QUIET_JOBS_PER_SECOND,
    enough: Math.ceil(concurrency / 2),
    pauseMsMax: TAKE_PAUSE_MS_MAX,
  })
}
