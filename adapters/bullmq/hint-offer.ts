/**
 * The offering side of one handler's BullMQ queue: all hints of an offer in one round trip. Bounded: what nobody takes
 * does not pile up, and what is dropped here is pumped again later.
 */
import { Queue, type BulkJobOptions } from 'bullmq'
import { messageOf } from '../../core/error/message-of.ts'
import type { Logger } from '../../core/log.ts'
import type { JobHint } from '../../core/ports/pump-store.ts'
import { bundlesOf } from './bundle.ts'
import type { RedisClient } from './redis-client.ts'

/** Bundles of one handler that may wait in Redis. */
const BUNDLES_WAITING_MAX = 1_000
/** BullMQ writes an event for each move; nobody reads them but its dashboards. */
const EVENTS_KEPT = 100
/** BullMQ gives the ids: one that exists already in any state would be dropped without a word (lesson 17). */
const BUNDLE_OPTIONS: BulkJobOptions = { attempts: 1, removeOnComplete: true, removeOnFail: true }

export interface HintOfferOptions {
  readonly handler: string
  readonly prefix: string
  readonly bundleHints: number
  readonly client: RedisClient
  readonly logger: Logger
}

export class HintOffer {
  readonly #options: HintOfferOptions
  readonly #queue: Queue
  /** Bundles in Redis at most, as far as this process knows: counted up, and asked for only at the bound. */
  #waiting = 0

  constructor(options: HintOfferOptions) {
    this.#options = options
    const { handler, prefix, client, logger } = options
    this.#queue = new Queue(handler, {
      connection: client,
      prefix,
      // Neither waits for the server: a command fails at once while there is none.
      skipVersionCheck: true,
      skipWaitingForReady: true,
      streams: { events: { maxLen: EVENTS_KEPT } },
    })
    this.#queue.on('error', (error) => {
      logger.debug({ handler, reason: messageOf(error) }, 'a queue of hints met an error; it goes on')
    })
  }

  async add(hints: readonly JobHint[]): Promise<void> {
    const { bundleHints, client } = this.#options
    if (this.#waiting >= BUNDLES_WAITING_MAX) this.#waiting = await client.llen(this.#queue.toKey('wait'))
    if (this.#waiting >= BUNDLES_WAITING_MAX) return
    const bundles = bundlesOf(hints, bundleHints)
    this.#waiting += bundles.length
    await this.#queue.addBulk(bundles.map((data) => ({ name: 'hints', data, opts: BUNDLE_OPTIONS })))
  }

  async close(): Promise<void> {
    await this.#queue.close()
  }
}
