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
import type { ProbeRequest } from '../core/ports/breaker-store.ts'
import type { TakenJob } from '../core/ports/job-store.ts'
import type { SendEffect } from '../core/delivery/send-effect.ts'
import type { SendRate } from '../core/delivery/send-rate.ts'
import type { JobDelivery } from './job-delivery.ts'
import { Pace } from '../core/pace.ts'
import type { ReplayTakes } from './replay-takes.ts'
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
/** How long live jobs are waited for when a replay may have some: long enough for those that are due. */
const LIVE_LOOK_MS = 1
/** Part of the handler's slots that its replays may have at most. */
const REPLAYED_SHARE = 2
/** Outcomes that may wait for the store before no more jobs are taken. */
const PENDING_OUTCOMES_MIN = 256

export interface HandlerRunnerOptions {
  readonly handler: HandlerConfig
  /** This dispatcher's share of the handler's concurrency, until it is told another. */
  readonly concurrency: number
  readonly generation: string
  readonly queue: Pick<JobQueue, 'take'>
  readonly delivery: Pick<JobDelivery, 'deliver'>
  readonly replays: ReplayTakes
  /** This dispatcher's share of the handler's rate. */
  readonly rate: SendRate
  readonly demand?: Pick<Demand, 'note'>
  readonly clock: Clock
  readonly logger: Logger
  /** Called when a job could not be handled at all: a broken invariant. */
  readonly broken: (error: unknown) => void
}

export interface ProbeTake {
  readonly most: number
  /** How long a slot is waited for. */
  readonly waitMsMax: number
  readonly take: (
    request: Pick<ProbeRequest, 'slots' | 'leaseMs' | 'generation'>,
  ) => Promise<readonly TakenJob[]>
}

/** While it is held, the runner takes nothing by itself: what is under way is never more than the concurrency. */
export interface Probing extends Disposable {
  /** One take and its sends: each resolves with what it says of the endpoint, null where nothing was sent. */
  send(take: ProbeTake, signal: AbortSignal): Promise<readonly Promise<SendEffect | null>[]>
}

export class HandlerRunner {
  readonly name: string
  readonly handler: string
  readonly leaseMs: number
  readonly #options: HandlerRunnerOptions
  readonly #sends: Slots
  readonly #jobs: Slots
  /** Of the sends, those of replays. */
  readonly #replayed: Slots
  #concurrency: number
  #pace: Pace
  /** Ends a take that waits. */
  #interrupt = new AbortController()
  #taking: Promise<number> | null = null
  /** While somebody probes: aborted when that ends. */
  #probing: AbortController | null = null

  constructor(options: HandlerRunnerOptions) {
    this.#options = options
    this.handler = options.handler.name
    this.name = `deliver ${this.handler}`
    this.leaseMs = options.handler.timeoutMs + LEASE_MARGIN_MS
    this.#concurrency = options.concurrency
    this.#sends = new Slots(options.concurrency)
    this.#jobs = new Slots(jobsMax(options.concurrency))
    this.#replayed = new Slots(replayedMax(options.concurrency))
    this.#pace = paceFor(options.concurrency)
  }

  /** From now on so many requests at once; what is under way beyond it ends by itself. */
  resize(concurrency: number): void {
    if (concurrency === this.#concurrency) return
    this.#concurrency = concurrency
    this.#sends.resize(concurrency)
    this.#jobs.resize(jobsMax(concurrency))
    this.#replayed.resize(replayedMax(concurrency))
    this.#pace = paceFor(concurrency)
  }

  /** This dispatcher's share of the handler's rate from now on, requests a second. */
  limit(perSecond: number | null): void {
    this.#options.rate.resize(perSecond)
  }

  /** A step in the loop: resolves with the milliseconds until the next. */
  async run(signal: AbortSignal): Promise<number> {
    const slots = this.#free()
    const jobs = await this.step(signal)
    // As many as asked for: there are more, and only slots are to be waited for.
    if (jobs > 0 && jobs >= slots) {
      this.#options.demand?.note()
      return this.#sends.free * FREE_SHARE < this.#concurrency ? SLOTS_PAUSE_MS : 0
    }
    return this.#pace.next(jobs, this.#options.clock.monotonic())
  }

  /** One take; the sends go on behind it. Resolves with how many jobs were taken. */
  async step(signal: AbortSignal): Promise<number> {
    const { queue, clock, handler, replays } = this.#options
    if (this.#probing !== null)
      await clock.sleep(TAKE_WAIT_MS, AbortSignal.any([signal, this.#probing.signal]))
    await this.#untilFree(signal)
    if (signal.aborted || this.#probing !== null) return 0
    const ended = AbortSignal.any([signal, this.#interrupt.signal, replays.woken])
    using deadline = this.#deadline(ended, this.#takeWaitMs())
    this.#taking = this.#take((lease) =>
      queue.take({ handler: handler.name, ...lease, signal: deadline.signal }),
    ).then(async (sends) => sends.length + (await this.#takeReplayed(signal)))
    try {
      return await this.#taking
    } finally {
      this.#taking = null
    }
  }

  /** No longer than until a replay may have what live jobs leave free. */
  #takeWaitMs(): number {
    const replayedMs = this.#replayed.free > 0 ? this.#options.replays.waitMs() : Infinity
    return Math.max(LIVE_LOOK_MS, Math.min(TAKE_WAIT_MS, replayedMs))
  }

  /** With slots that live jobs have just left free, so that these never wait behind a replay. */
  async #takeReplayed(signal: AbortSignal): Promise<number> {
    const { clock, generation, replays, rate } = this.#options
    const slots = Math.min(this.#free(), this.#replayed.free)
    if (signal.aborted || slots <= 0 || this.#probing !== null || replays.waitMs() > 0) return 0
    const askedAt = clock.monotonic()
    const jobs = await replays.take({ slots, leaseMs: this.leaseMs, generation })
    rate.took(jobs.length, clock.monotonic())
    for (const job of jobs) void this.#deliverReplayed(job, askedAt)
    return jobs.length
  }

  /** From now on nothing is taken but probes. */
  probing(): Probing {
    const probing = new AbortController()
    this.#probing = probing
    this.#interrupt.abort()
    return {
      send: (take, signal) => this.#probe(take, signal),
      [Symbol.dispose]: () => {
        this.#interrupt = new AbortController()
        this.#probing = null
        probing.abort()
      },
    }
  }

  async #probe(
    { most, waitMsMax, take }: ProbeTake,
    signal: AbortSignal,
  ): Promise<readonly Promise<SendEffect | null>[]> {
    // It was interrupted, and fails in its own loop.
    await Promise.allSettled([this.#taking])
    using deadline = this.#deadline(signal, waitMsMax)
    await this.#untilFree(deadline.signal)
    if (this.#free() <= 0) return []
    return await this.#take((lease) => take({ ...lease, slots: Math.min(lease.slots, most) }))
  }

  /** The lease of what is taken began after `askedAt`, whatever the clock of the database says. */
  async #take(take: ProbeTake['take']): Promise<readonly Promise<SendEffect | null>[]> {
    const { clock, generation, rate } = this.#options
    const askedAt = clock.monotonic()
    const jobs = await take({ slots: this.#free(), leaseMs: this.leaseMs, generation })
    rate.took(jobs.length, clock.monotonic())
    return jobs.map((job) => this.#deliver(job, askedAt))
  }

  #free(): number {
    const { rate, clock } = this.#options
    const free = Math.min(this.#sends.free, this.#jobs.free, TAKE_JOBS_MAX)
    return Math.min(free, rate.free(clock.monotonic()))
  }

  /** Until a job may be taken, or `signal` aborts. */
  async #untilFree(signal: AbortSignal): Promise<void> {
    const { rate, clock } = this.#options
    await this.#sends.untilFree(signal)
    await this.#jobs.untilFree(signal)
    for (let waitMs = 1; waitMs > 0 && !signal.aborted;) {
      waitMs = rate.waitMs(clock.monotonic())
      if (waitMs > 0) await clock.sleep(waitMs, signal)
    }
  }

  async #deliverReplayed(job: TakenJob, askedAt: number): Promise<void> {
    this.#replayed.take()
    await this.#deliver(job, askedAt)
    this.#replayed.release()
    this.#options.replays.finished(job.handler)
  }

  #deadline(signal: AbortSignal, ms: number): Disposable & { readonly signal: AbortSignal } {
    const taken = new AbortController()
    const late = new AbortController()
    void this.#options.clock.sleep(ms, AbortSignal.any([signal, taken.signal])).then(() => {
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

  async #deliver(job: TakenJob, askedAt: number): Promise<SendEffect | null> {
    const { delivery, broken } = this.#options
    this.#sends.take()
    this.#jobs.take()
    let sending = true
    const sent = (): void => {
      if (sending) this.#sends.release()
      sending = false
    }
    try {
      return await delivery.deliver(job, { sendBefore: askedAt + this.leaseMs, sent })
    } catch (error) {
      broken(error)
      return null
    } finally {
      sent()
      this.#jobs.release()
    }
  }
}

function jobsMax(concurrency: number): number {
  return concurrency + Math.max(PENDING_OUTCOMES_MIN, 4 * concurrency)
}

function replayedMax(concurrency: number): number {
  return Math.max(1, Math.floor(concurrency / REPLAYED_SHARE))
}

function paceFor(concurrency: number): Pace {
  return new Pace({
    quietPerSecond: QUIET_JOBS_PER_SECOND,
    enough: Math.ceil(concurrency / 2),
    pauseMsMax: TAKE_PAUSE_MS_MAX,
  })
}
