/**
 * What somebody on call reads of handlers that fail: a line when one begins to, then at most one a minute with counts by
 * class, which says whether the handler has delivered since its last failure, and one when it delivers again. Every attempt stands in the job store; the log of the process is not its copy.
 * State is bounded: a row a handler, and classes are a closed list.
 */
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'

export const SAID_AGAIN_MS = 60_000
const STEP_MS = 5_000
const STILL_FAILS = 'deliveries to a handler still fail'
const DELIVERED_SINCE = 'deliveries to a handler failed; it has delivered since the last failure'

interface Failing {
  saidAt: number
  /** Since the last line. */
  delivered: number
  readonly failed: Map<string, number>
  /** What came last, whatever was said between. */
  hasDelivered: boolean
}

export class FailingHandlers {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #failing = new Map<string, Failing>()

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock
    this.#logger = logger
  }

  delivered(handler: string): void {
    const row = this.#failing.get(handler)
    if (row === undefined) return
    row.delivered += 1
    row.hasDelivered = true
  }

  failed(handler: string, errorClass: string, fields: Readonly<Record<string, unknown>>): void {
    const row = this.#failing.get(handler)
    if (row !== undefined) {
      row.failed.set(errorClass, (row.failed.get(errorClass) ?? 0) + 1)
      row.hasDelivered = false
      return
    }
    const saidAt = this.#clock.monotonic()
    this.#failing.set(handler, { saidAt, delivered: 0, failed: new Map(), hasDelivered: false })
    this.#logger.warn({ handler, error: errorClass, ...fields }, 'deliveries to a handler begin to fail')
  }

  /** A step in a loop: says what is due. Recovered is who delivered last and has not failed for a minute. */
  step(): number {
    const now = this.#clock.monotonic()
    for (const [handler, row] of this.#failing) {
      const { delivered, failed, saidAt, hasDelivered } = row
      if (now - saidAt < SAID_AGAIN_MS || (failed.size === 0 && !hasDelivered)) continue
      if (failed.size === 0) {
        this.#failing.delete(handler)
        this.#logger.info({ handler, delivered }, 'the handler delivers again')
        continue
      }
      const counts = { delivered, failed: Object.fromEntries(failed) }
      this.#logger.warn({ handler, ...counts }, hasDelivered ? DELIVERED_SINCE : STILL_FAILS)
      row.saidAt = now
      row.delivered = 0
      failed.clear()
    }
    return STEP_MS
  }
}
