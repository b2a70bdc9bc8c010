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
import type { TakenJob } from '../core/ports/delivery-store.ts'
import type { SendEffect } from '../core/delivery/send-effect.ts'
import type { SendRate } from '../core/delivery/send-rate.ts'
import type { JobDelivery } from './job-delivery.ts'
import { Pace } from '../core/pace.ts'
import type { ReplayTakes } from './replay-takes.ts'
import { SendSlots } from './send-slots.ts'

/** Beyond the handler's timeout: waiting inside a take, reading the payload, writing the outcome. */
export const LEASE_MARGIN_MS = 30_000
/** A take that waits longer is asked again: the lease check counts from before the take, so its wait must be bounded. */
const TAKE_WAIT_MS = 10_000
/** Small takes in a row wait a little for more (pace.ts). */
const QUIET_JOBS_PER_SECOND = 300
const TAKE_PAUSE_MS_MAX = 20
/** Where hardly a slot is free. */
const SLOTS_PAUSE_MS = 3
/** How long live jobs are waited for when a replay may have some: long enough for those that are due. */
const LIVE_LOOK_MS = 1

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
  readonly #slots: SendSlots
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
    this.#slots = new SendSlots(options)
    this.#pace = paceFor(options.concurrency)
  }

  /** From now on so many requests at once; what is under way beyond it ends by itself. */
  resize(concurrency: number): void {
    if (concurrency === this.#concurrency) return
    this.#concurrency = concurrency
    this.#slots.resize(concurrency)
    this.#pace = paceFor(concurrency)
  }

  /** This dispatcher's share of the handler's rate from now on, requests a second. */
  limit(perSecond: number | null): void {
    this.#options.rate.resize(perSecond)
  }

  /** A step in the loop: resolves with the milliseconds until the next. */
  async run(signal: AbortSignal): Promise<number> {
    const slots = this.#slots.free
    const jobs = await this.step(signal)
    // As many as asked for: there are more, and only slots are to be waited for.
    if (jobs > 0 && jobs >= slots) {
      this.#options.demand?.note()
      return this.#slots.isNearlyFull ? SLOTS_PAUSE_MS : 0
    }
    return this.#pace.next(jobs, this.#options.clock.monotonic())
  }

  /** One take; the sends go on behind it. Resolves with how many jobs were taken. */
  async step(signal: AbortSignal): Promise<number> {
    const { queue, clock, handler, replays } = this.#options
    if (this.#probing !== null)
      await clock.sleep(TAKE_WAIT_MS, AbortSignal.any([signal, this.#probing.signal]))
    await this.#slots.untilFree(signal)
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
    const replayedMs = this.#slots.hasReplayRoom ? this.#options.replays.waitMs() : Infinity
    return Math.max(LIVE_LOOK_MS, Math.min(TAKE_WAIT_MS, replayedMs))
  }

  /** With slots that live jobs have just left free, so that these never wait behind a replay. */
  async #takeReplayed(signal: AbortSignal): Promise<number> {
    const { clock, generation, replays } = this.#options
    const slots = this.#slots.freeForReplays
    if (signal.aborted || slots <= 0 || this.#probing !== null || replays.waitMs() > 0) return 0
    const askedAt = clock.monotonic()
    const jobs = await replays.take({ slots, leaseMs: this.leaseMs, generation })
    this.#slots.took(jobs.length)
    for (const job of jobs)
      void this.#deliver(job, { askedAt, isReplayed: true }).then(() => {
        replays.finished(job.handler)
      })
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
    await this.#slots.untilFree(deadline.signal)
    if (this.#slots.free <= 0) return []
    return await this.#take((lease) => take({ ...lease, slots: Math.min(lease.slots, most) }))
  }

  /** The lease of what is taken began after `askedAt`, whatever the clock of the database says. */
  async #take(take: ProbeTake['take']): Promise<readonly Promise<SendEffect | null>[]> {
    const { clock, generation } = this.#options
    const askedAt = clock.monotonic()
    const jobs = await take({ slots: this.#slots.free, leaseMs: this.leaseMs, generation })
    this.#slots.took(jobs.length)
    return jobs.map((job) => this.#deliver(job, { askedAt, isReplayed: false }))
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
    await this.#slots.untilIdle(signal)
  }

  async #deliver(job: TakenJob, { askedAt, isReplayed }: Taken): Promise<SendEffect | null> {
    const { delivery, broken } = this.#options
    using slot = this.#slots.hold(isReplayed)
    try {
      return await delivery.deliver(job, { sendBefore: askedAt + this.leaseMs, sent: slot.sent })
    } catch (error) {
      broken(error)
      return null
    }
  }
}

interface Taken {
  /** Monotonic; before the take. */
  readonly askedAt: number
  readonly isReplayed: boolean
}

function paceFor(concurrency: number): Pace {
  return new Pace({
    quietPerSecond: QUIET_JOBS_PER_SECOND,
    enough: Math.ceil(concurrency / 2),
    pauseMsMax: TAKE_PAUSE_MS_MAX,
  })
}
