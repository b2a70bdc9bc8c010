/**
 * How much one handler may have under way here: requests within its concurrency, jobs whose outcome waits for the store
 * within a bound of their own, replayed ones within a part of it, and all within its rate.
 */
import type { Clock } from '../core/clock.ts'
import type { SendRate } from '../core/delivery/send-rate.ts'
import { Slots } from './slots.ts'

const TAKE_JOBS_MAX = 200
/** Below one part in so many of free slots a take waits a moment, so that it is worth its costs. */
const FREE_SHARE = 4
/** Part of the handler's slots that its replays may have at most. */
const REPLAYED_SHARE = 2
/** Outcomes that may wait for the store before no more jobs are taken. */
const PENDING_OUTCOMES_MIN = 256

export interface SendSlotsOptions {
  readonly concurrency: number
  /** This dispatcher's share of the handler's rate. */
  readonly rate: SendRate
  readonly clock: Clock
}

/** Of one job: `sent` when its request has ended, dispose when its outcome is written. */
export interface HeldSlot extends Disposable {
  readonly sent: () => void
}

export class SendSlots {
  readonly #rate: SendRate
  readonly #clock: Clock
  readonly #sends: Slots
  readonly #jobs: Slots
  /** Of the sends, those of replays. */
  readonly #replayed: Slots
  #concurrency: number

  constructor({ concurrency, rate, clock }: SendSlotsOptions) {
    this.#rate = rate
    this.#clock = clock
    this.#concurrency = concurrency
    this.#sends = new Slots(concurrency)
    this.#jobs = new Slots(jobsMax(concurrency))
    this.#replayed = new Slots(replayedMax(concurrency))
  }

  /** What is under way beyond a smaller bound ends by itself. */
  resize(concurrency: number): void {
    this.#concurrency = concurrency
    this.#sends.resize(concurrency)
    this.#jobs.resize(jobsMax(concurrency))
    this.#replayed.resize(replayedMax(concurrency))
  }

  /** Jobs that may be taken now; none or below where there is no room. */
  get free(): number {
    const free = Math.min(this.#sends.free, this.#jobs.free, TAKE_JOBS_MAX)
    return Math.min(free, this.#rate.free(this.#clock.monotonic()))
  }

  get freeForReplays(): number {
    return Math.min(this.free, this.#replayed.free)
  }

  /** Whether a replay has room beside the others of its kind. */
  get hasReplayRoom(): boolean {
    return this.#replayed.free > 0
  }

  /** Whether so few requests may be made that a take is hardly worth its costs. */
  get isNearlyFull(): boolean {
    return this.#sends.free * FREE_SHARE < this.#concurrency
  }

  /** Resolves when a job may be taken, or `signal` aborts. */
  async untilFree(signal: AbortSignal): Promise<void> {
    await this.#sends.untilFree(signal)
    await this.#jobs.untilFree(signal)
    for (let waitMs = 1; waitMs > 0 && !signal.aborted;) {
      waitMs = this.#rate.waitMs(this.#clock.monotonic())
      if (waitMs > 0) await this.#clock.sleep(waitMs, signal)
    }
  }

  /** Resolves when every job has its outcome written, or `signal` aborts. */
  async untilIdle(signal: AbortSignal): Promise<void> {
    await this.#jobs.untilIdle(signal)
  }

  /** So many were taken: they count against the rate. */
  took(jobs: number): void {
    this.#rate.took(jobs, this.#clock.monotonic())
  }

  hold(isReplayed: boolean): HeldSlot {
    const held = isReplayed ? [this.#jobs, this.#replayed] : [this.#jobs]
    for (const slots of [this.#sends, ...held]) slots.take()
    let isSending = true
    const sent = (): void => {
      if (isSending) this.#sends.release()
      isSending = false
    }
    return {
      sent,
      [Symbol.dispose]: () => {
        sent()
        for (const slots of held) slots.release()
      },
    }
  }
}

function jobsMax(concurrency: number): number {
  return concurrency + Math.max(PENDING_OUTCOMES_MIN, 4 * concurrency)
}

function replayedMax(concurrency: number): number {
  return Math.max(1, Math.floor(concurrency / REPLAYED_SHARE))
}
