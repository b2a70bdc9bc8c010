/**
 * Hints of one handler, pulled from its BullMQ queue when somebody wants them and not before: what one process fetched
 * ahead another could not take. A BullMQ job is a bundle of hints; it is completed as soon as it is here, since losing
 * it with this process costs no more than the time until its jobs are pumped again.
 */
import { randomUUID } from 'node:crypto'
import { Worker, type Job } from 'bullmq'
import { messageOf } from '../../core/error/message-of.ts'
import { jobIdsOf } from './bundle.ts'
import type { HintOfferOptions } from './hint-offer.ts'
import { BLOCK_SECONDS, mapRedisError } from './redis-client.ts'

/** A bundle that a killed process left is given to another one after at most the two together. */
const LOCK_MS = 30_000
const STALLED_CHECK_MS = 30_000
/** Beyond any number of crashes: a bundle never fails, the take decides what its hints are worth. */
const STALLED_COUNT_MAX = Number.MAX_SAFE_INTEGER
/** Bundles that one fetch asks for at once. */
const BUNDLES_MAX = 8

export class HintFeed {
  readonly #options: HintOfferOptions
  readonly #worker: Worker
  readonly #token = randomUUID()
  #hints: string[] = []
  #fetching: Promise<void> | null = null
  /** The last fetch brought all bundles that it asked for. */
  #isBusy = false
  /** Hints of a bundle lately: a planner at a low rate makes small ones, and these must not be taken one by one. */
  #bundleHints: number

  constructor(options: HintOfferOptions) {
    this.#options = options
    this.#bundleHints = options.bundleHints
    const { handler, prefix, client, logger } = options
    this.#worker = new Worker(handler, null, {
      connection: client,
      prefix,
      skipVersionCheck: true,
      skipWaitingForReady: true,
      drainDelay: BLOCK_SECONDS,
      lockDuration: LOCK_MS,
      stalledInterval: STALLED_CHECK_MS,
      maxStalledCount: STALLED_COUNT_MAX,
    })
    this.#worker.on('error', (error) => {
      logger.debug({ handler, reason: messageOf(error) }, 'a taker of hints met an error; it goes on')
    })
    void this.#worker.startStalledCheckTimer()
  }

  /** Ids of at most `count` jobs that were hinted at; none when `signal` aborts or nothing came for a while. */
  async next(count: number, signal: AbortSignal): Promise<readonly string[]> {
    if (this.#hints.length === 0 && !signal.aborted) {
      this.#fetching ??= this.#fetch(count).finally(() => {
        this.#fetching = null
      })
      await unlessAborted(this.#fetching, signal)
    }
    return signal.aborted ? [] : this.#hints.splice(0, count)
  }

  /** Hints that no take used, back to the front. */
  putBack(jobIds: readonly string[]): void {
    this.#hints.unshift(...jobIds)
  }

  /**
   * Ends at once; resolves with the ids that were fetched and not used. A fetch that is under way is not waited for:
   * on a server that is down it never ends.
   */
  async close(): Promise<readonly string[]> {
    await this.#worker.close(true)
    return this.#hints.splice(0)
  }

  /**
   * One wait of at most BLOCK_SECONDS, for ever on a dead server. Several bundles cost one round trip: as long as all
   * that were asked for came, they are asked for at once, else after a first one came.
   */
  async #fetch(count: number): Promise<void> {
    try {
      if (this.#isBusy) this.#isBusy = await this.#pull(this.#bundlesFor(count), false)
      else if (await this.#pull(1, true)) {
        const wanted = count - this.#hints.length
        this.#isBusy = wanted <= 0 || (await this.#pull(this.#bundlesFor(wanted), false))
      }
    } catch (error) {
      this.#isBusy = false
      throw mapRedisError(error)
    }
  }

  #bundlesFor(hints: number): number {
    return Math.min(BUNDLES_MAX, Math.ceil(hints / this.#bundleHints))
  }

  /** True when all came. */
  async #pull(bundles: number, block: boolean): Promise<boolean> {
    const pulls = Array.from({ length: bundles }, (): Promise<Job | undefined> =>
      this.#worker.getNextJob(this.#token, { block }),
    )
    const came = (await Promise.all(pulls)).filter((bundle) => bundle !== undefined)
    const hints = came.reduce((sum, bundle) => sum + this.#accept(bundle), 0)
    if (came.length > 0) this.#bundleHints = Math.max(1, hints / came.length)
    return came.length === bundles
  }

  /** How many hints it held. */
  #accept(bundle: Job): number {
    const jobIds = jobIdsOf(bundle.data)
    this.#hints.push(...jobIds)
    bundle.moveToCompleted(null, this.#token, false).catch((error: unknown) => {
      // It is gone already, or comes again: neither does harm.
      const { handler, logger } = this.#options
      logger.debug({ handler, reason: messageOf(error) }, 'a bundle of hints was not completed')
    })
    return jobIds.length
  }
}

async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<void>()
  const abort = (): void => {
    aborted.resolve()
  }
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
