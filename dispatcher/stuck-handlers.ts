/**
 * Handlers of one partition whose next event is not to be had now: it lies in the archive and is being fetched, or the
 * archive is away, behind or altered. They are passed over for a while, tried again by themselves, and hold up nobody.
 */
import type { Clock } from '../core/clock.ts'
import type { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { TopicPartition } from '../core/ports/event-log.ts'
import { backoffMs, reasonOf } from './loop.ts'
import type { WaitList } from './wait-list.ts'

/** A segment that is being fetched is asked for again this soon. */
const FETCHED_MS = 50

export interface StuckOptions {
  readonly at: TopicPartition
  /** Of the planner. */
  readonly name: string
  readonly clock: Clock
  readonly logger: Logger
  readonly waits: WaitList
}

interface Stuck {
  readonly until: number
  readonly failures: number
}

export class StuckHandlers {
  readonly #options: StuckOptions
  readonly #stuck = new Map<string, Stuck>()

  constructor(options: StuckOptions) {
    this.#options = options
  }

  has(handler: string): boolean {
    const stuck = this.#stuck.get(handler)
    return stuck !== undefined && this.#options.clock.monotonic() < stuck.until
  }

  /**
   * Until the first of them is tried again; Infinity when there is none. Whose time has passed is tried as soon as it is
   * admitted, and is not waited for: a bound or an operator may hold it back for days.
   */
  retryMs(): number {
    const now = this.#options.clock.monotonic()
    return Math.min(...[...this.#stuck.values()].map(({ until }) => until - now).filter((ms) => ms > 0))
  }

  /** What they need is on its way. */
  await(handlers: readonly string[]): void {
    const until = this.#options.clock.monotonic() + FETCHED_MS
    for (const handler of handlers)
      this.#stuck.set(handler, { until, failures: this.#stuck.get(handler)?.failures ?? 0 })
  }

  fail(handlers: readonly string[], position: bigint, error: HooktrailError): void {
    const { clock, logger, waits, at } = this.#options
    for (const handler of handlers) {
      const failures = this.#stuck.get(handler)?.failures ?? 0
      this.#stuck.set(handler, { until: clock.monotonic() + backoffMs(failures), failures: failures + 1 })
      waits.set(this.#nameOf(handler), reasonOf(error))
      const fields = {
        handler,
        topic: at.topic,
        partition: at.partition,
        position: String(position),
        err: error,
      }
      if (failures === 0)
        logger.error(fields, 'the log was cut behind the handler, and the archive cannot be read')
      else logger.debug(fields, 'the archive still cannot be read')
    }
  }

  goOn(handlers: readonly string[]): void {
    for (const handler of handlers)
      if (this.#stuck.delete(handler)) this.#options.waits.clear(this.#nameOf(handler))
  }

  #nameOf(handler: string): string {
    return `${this.#options.name} for ${handler}`
  }
}
