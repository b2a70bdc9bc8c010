/**
 * Says what this dispatcher serves for as long as it lives, divides concurrency and rate of its handlers with the others that
 * serve them, and tells of handlers that nobody serves. For liveness only: whoever takes a job is decided by the take.
 */
import type { HandlerConfig } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { UNSERVED_MS, type Served, type ServedHandler, type ServingStore } from '../core/ports/lease-store.ts'
import type { HandlerRunner } from './handler-runner.ts'
import { LEASE_TTL_MS } from './lease.ts'
import { shareConcurrency, shareRate } from './share-concurrency.ts'

const SERVE_MS = LEASE_TTL_MS / 3

export interface ServingOptions {
  readonly store: ServingStore
  readonly owner: string
  /** Of the configuration, whoever serves them. */
  readonly handlers: readonly Pick<HandlerConfig, 'name' | 'pool' | 'concurrency' | 'ratePerSecond'>[]
  /** Of those that this dispatcher serves. */
  readonly runners: ReadonlyMap<string, Pick<HandlerRunner, 'resize' | 'limit'>>
  readonly concurrencyMax: number
  readonly logger: Logger
  readonly metrics: Metrics
}

export class Serving {
  readonly #options: ServingOptions
  /** Told of, by this dispatcher or another. */
  #unserved: ReadonlySet<string> = new Set()

  constructor(options: ServingOptions) {
    this.#options = options
  }

  /** Resolves with the milliseconds until the next. */
  async step(): Promise<number> {
    const { store, owner, runners } = this.#options
    const served = await store.serve({ owner, handlers: [...runners.keys()], ttlMs: LEASE_TTL_MS })
    this.#divide(served)
    this.#tell(served)
    return SERVE_MS
  }

  async end(): Promise<void> {
    await this.#options.store.endServing(this.#options.owner)
  }

  #divide({ handlers }: Served): void {
    const { handlers: configured, runners, concurrencyMax } = this.#options
    const own = configured.filter(({ name }) => runners.has(name))
    const places = new Map(handlers.map((place) => [place.handler, place]))
    const shares = shareConcurrency(own, concurrencyMax, places)
    for (const handler of own) {
      const runner = runners.get(handler.name)
      runner?.resize(shares.get(handler.name) ?? 1)
      runner?.limit(shareRate(handler, places.get(handler.name)))
    }
  }

  #tell({ handlers, isFirst }: Served): void {
    const known = new Map(handlers.map((row) => [row.handler, row]))
    const unserved = new Set<string>()
    for (const { name, pool } of this.#options.handlers) {
      const forMs = unservedForMs(known.get(name))
      this.#options.metrics.set('handler_unserved_seconds', { handler: name }, forMs / 1000)
      if (forMs >= UNSERVED_MS) unserved.add(name)
      if (isFirst && unserved.has(name) !== this.#unserved.has(name))
        this.#say({ handler: name, pool }, forMs)
    }
    this.#unserved = unserved
  }

  #say(fields: { readonly handler: string; readonly pool: string }, forMs: number): void {
    const { logger } = this.#options
    if (forMs < UNSERVED_MS) logger.info(fields, 'the handler is served again')
    else
      logger.error(
        { ...fields, seconds: Math.round(forMs / 1000) },
        'handler_unserved: no dispatcher serves the handler, its events wait; start one with --pool or --handler',
      )
  }
}

/** One that the store does not know yet is about to be registered. */
function unservedForMs(row: ServedHandler | undefined): number {
  return row?.unservedForMs ?? 0
}
