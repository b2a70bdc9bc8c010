/**
 * Due-now hints in Redis, one BullMQ queue a handler; the job store decides what each is worth (I5). No delays, no
 * retries, no pause, nothing kept: attempts and history live in the store. Hints travel in bundles, because BullMQ's
 * price is by the job. It may be emptied, put back or killed at any time: `lostHints` tells the pump.
 */
import type { Clock } from '../../core/clock.ts'
import { isHooktrailError, type HooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import type { HintQueue, TakeRequest } from '../../core/ports/job-queue.ts'
import type { DeliveryStore, TakenJob } from '../../core/ports/delivery-store.ts'
import type { JobHint } from '../../core/ports/pump-store.ts'
import { bundleHintsOf } from './bundle.ts'
import { HintFeed } from './hint-feed.ts'
import { HintOffer, type HintOfferOptions } from './hint-offer.ts'
import {
  createOfferingClient,
  createTakingClient,
  mapRedisError,
  type RedisClient,
  type RedisClientOptions,
} from './redis-client.ts'
import { requireKeepingServers } from './server-check.ts'

export interface BullmqJobQueueOptions extends RedisClientOptions {
  /** Begins every key; its own for each installation that shares the server. */
  readonly prefix: string
  /** Slots of each handler over all dispatchers: a bundle is a part of them, so that none hoards. */
  readonly concurrency: ReadonlyMap<string, number>
  readonly clock: Clock
}

type TakingStore = Pick<DeliveryStore, 'takeByIds'>

const START_WAIT_MS = 5_000

/**
 * A server that does not answer is waited for later: offers reject, takes wait. One that answers must be right.
 * @throws QUEUE_EVICTS, QUEUE_REFUSED
 */
export async function createBullmqJobQueue(
  store: TakingStore,
  options: BullmqJobQueueOptions,
): Promise<HintQueue & AsyncDisposable> {
  const queue = new BullmqJobQueue(store, options)
  try {
    await queue.connect()
    return queue
  } catch (error) {
    if (isHooktrailError(error, 'QUEUE_UNAVAILABLE')) {
      options.logger.warn({ err: error }, 'Redis does not answer: deliveries wait for it')
      return queue
    }
    await queue[Symbol.asyncDispose]()
    throw error
  }
}

class BullmqJobQueue implements HintQueue, AsyncDisposable {
  readonly driver = 'redis'
  readonly #store: TakingStore
  readonly #options: BullmqJobQueueOptions
  readonly #prefix: string
  readonly #offering: RedisClient
  readonly #taking: RedisClient
  readonly #offers = new Map<string, HintOffer>()
  readonly #feeds = new Map<string, HintFeed>()
  readonly #stopping = new AbortController()
  #isChecked = false
  /** Why there is no connection: a command then fails without a reason of its own. */
  #connectionError: unknown = null
  #mayHaveLost = false
  #mark = 0

  constructor(store: TakingStore, options: BullmqJobQueueOptions) {
    this.#store = store
    this.#options = options
    // One slot of a Cluster holds all, so that the mark falls with the hints.
    this.#prefix = options.topology?.kind === 'cluster' ? `{${options.prefix}}` : options.prefix
    this.#offering = createOfferingClient(options)
    this.#taking = createTakingClient(options)
    // What answers after this may be another server, one that never got the last hints.
    for (const change of ['close', '+node', '-node'])
      this.#offering.on(change, () => {
        this.#isChecked = false
        this.#mayHaveLost = true
      })
    this.#offering.on('error', (error) => {
      this.#connectionError = error
    })
    this.#offering.on('ready', () => {
      this.#connectionError = null
    })
  }

  /** @throws QUEUE_UNAVAILABLE, QUEUE_REFUSED, QUEUE_EVICTS */
  async connect(): Promise<void> {
    const waited = new AbortController()
    const waiting = this.#options.clock.sleep(START_WAIT_MS, waited.signal)
    try {
      await Promise.race([this.#offering.connect(), waiting])
      await this.#requireChecked()
    } catch (error) {
      throw this.#explain(error)
    } finally {
      waited.abort()
    }
  }

  async offer(handler: string, hints: readonly JobHint[]): Promise<void> {
    if (hints.length === 0) return
    try {
      await this.#requireChecked()
      await this.#offer(handler).add(hints)
    } catch (error) {
      this.#mayHaveLost = true
      throw this.#explain(error)
    }
  }

  async take({ handler, slots, signal, ...lease }: TakeRequest): Promise<readonly TakenJob[]> {
    const feed = this.#feed(handler)
    const ended = AbortSignal.any([signal, this.#stopping.signal])
    while (!ended.aborted) {
      const jobIds = await feed.next(slots, ended)
      if (jobIds.length === 0) continue
      const { jobs } = await this.#store.takeByIds({ handler, jobIds, ...lease }).catch((error: unknown) => {
        feed.putBack(jobIds)
        throw error
      })
      if (jobs.length > 0) return jobs
    }
    return []
  }

  /**
   * The mark is a counter that only grows: missing after FLUSHALL or on an empty server, lower on one that was put
   * back to an older copy. Two processes share it, and each sees for itself that it fell.
   */
  async lostHints(): Promise<boolean> {
    try {
      await this.#requireChecked()
      const mark = await this.#offering.incr(`${this.#prefix}:mark`)
      const lost = mark === 1 || mark <= this.#mark || this.#mayHaveLost
      this.#mark = mark
      this.#mayHaveLost = false
      return lost
    } catch (error) {
      throw this.#explain(error)
    }
  }

  /** What was fetched and not used is offered again, so that another process need not wait for the pump. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort()
    for (const [handler, feed] of this.#feeds) {
      const hints = (await feed.close()).map((jobId) => ({ jobId, attempt: 0 }))
      await this.offer(handler, hints).catch((error: unknown) => {
        const reason = messageOf(error)
        this.#options.logger.debug({ handler, hints: hints.length, reason }, 'hints were not given back')
      })
    }
    for (const offer of this.#offers.values()) await offer.close()
    this.#offering.disconnect()
    this.#taking.disconnect()
  }

  #explain(error: unknown): HooktrailError {
    return mapRedisError(isHooktrailError(error) ? error : (this.#connectionError ?? error))
  }

  /** Once a connection, before anything is written. */
  async #requireChecked(): Promise<void> {
    if (this.#isChecked) return
    await requireKeepingServers(this.#offering, this.#options)
    this.#isChecked = true
  }

  #offer(handler: string): HintOffer {
    return entryOf(this.#offers, handler, () => new HintOffer(this.#channel(handler, this.#offering)))
  }

  #feed(handler: string): HintFeed {
    return entryOf(this.#feeds, handler, () => new HintFeed(this.#channel(handler, this.#taking)))
  }

  #channel(handler: string, client: RedisClient): HintOfferOptions {
    const { logger, concurrency } = this.#options
    const prefix = this.#prefix
    return { handler, prefix, logger, client, bundleHints: bundleHintsOf(concurrency.get(handler)) }
  }
}

function entryOf<T>(map: Map<string, T>, key: string, make: () => T): T {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
