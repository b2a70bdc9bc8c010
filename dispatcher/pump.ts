/**
 * Brings due jobs to a queue that keeps its hints outside the job store. What the planner offers needs no pump; this
 * finds the rest: retries, jobs given back, and whatever the queue lost (I5). A job counts as announced until its mark
 * runs out; when the queue says that it lost hints, all marks go at once. So they do at the start: nobody knows what
 * the process before held or failed to offer. Only windows are pumped, so that the queue stays small (I6); a second hint
 * does no harm.
 */
import type { Logger } from '../core/log.ts'
import type { HintQueue } from '../core/ports/job-queue.ts'
import { QUEUED_MS, type PumpedHints, type PumpStore } from '../core/ports/pump-store.ts'

/** Hints under way for one handler: enough for its slots until the next round, on any number of dispatchers. */
const WINDOW_MIN = 64
const WINDOW_FACTOR = 4
/** Rounds that found room and jobs go on soon: windows empty as fast as takers work. */
const BUSY_MS = 20
/** While jobs are due and windows are full. */
const FULL_MS = 250
const IDLE_MS = 1_000
const DUE_WAIT_MS_MIN = 5

export interface PumpOptions {
  readonly queue: HintQueue
  readonly store: PumpStore
  readonly handlers: readonly { readonly name: string; readonly concurrency: number }[]
  readonly logger: Logger
}

export class Pump {
  readonly #options: PumpOptions
  readonly #windows: readonly { handler: string; hintsMax: number }[]
  #resets = true
  #isFirst = true

  constructor(options: PumpOptions) {
    this.#options = options
    this.#windows = options.handlers.map(({ name, concurrency }) => ({
      handler: name,
      hintsMax: Math.max(WINDOW_MIN, WINDOW_FACTOR * concurrency),
    }))
  }

  /** A step in the loop: resolves with the milliseconds until the next. */
  async run(): Promise<number> {
    const { hints, isDue, nextDueMs } = await this.step()
    if (hints.length > 0) return BUSY_MS
    if (isDue) return FULL_MS
    return Math.min(IDLE_MS, Math.max(DUE_WAIT_MS_MIN, nextDueMs ?? IDLE_MS))
  }

  /**
   * One round. Marks come before offers: a crash between them leaves marks without hints, which run out; the other
   * order would announce jobs again and again while the store is down. A failed offer is told by the next round's
   * question to the queue, which comes first, so that nothing is marked while the queue does not answer.
   */
  async step(): Promise<PumpedHints> {
    const { queue, store } = this.#options
    if (await queue.lostHints()) this.#resets = true
    if (this.#resets) await this.#reset()
    const pumped = await store.pumpDue({ windows: this.#windows, queuedMs: QUEUED_MS })
    const byHandler = Map.groupBy(pumped.hints, ({ handler }) => handler)
    await Promise.all([...byHandler].map(([handler, hints]) => queue.offer(handler, hints)))
    return pumped
  }

  async #reset(): Promise<void> {
    const jobs = await this.#options.store.resetQueued()
    this.#resets = false
    if (this.#isFirst)
      this.#options.logger.debug({ jobs }, 'what was offered before the start is offered again')
    else if (jobs > 0)
      this.#options.logger.warn({ jobs }, 'the queue lost hints: their jobs are offered again')
    this.#isFirst = false
  }
}
