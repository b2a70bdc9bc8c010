/**
 * What somebody on call reads of handlers that fail: a line when one begins to, then at most one a minute with counts by
 * class, and one when it delivers again. Every attempt stands in the job store; the log of the process is not its copy.
 * State is bounded: a row a handler, and classes are a closed list.
 */
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'

export const SAID_AGAIN_MS = 60_000
const STEP_MS = 5_000

interface Failing {
  saidAt: number
  /** Since the last line. */
  delivered: number
  readonly failed: Map<string, number>
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
    if (row !== undefined) row.delivered += 1
  }

  failed(handler: string, errorClass: string, fields: Readonly<Record<string, unknown>>): void {
    const row = this.#failing.get(handler)
    if (row !== undefined) {
      row.failed.set(errorClass, (row.failed.get(errorClass) ?? 0) + 1)
      return
    }
    this.#failing.set(handler, { saidAt: this.#clock.monotonic(), delivered: 0, failed: new Map() })
    this.#logger.warn({ handler, error: errorClass, ...fields }, 'deliveries to a handler begin to fail')
  }

  /** A step in a loop: says what is due. Recovered is who delivered for a minute without a failure. */
  step(): number {
    const now = this.#clock.monotonic()
    for (const [handler, row] of this.#failing) {
      const { delivered, failed, saidAt } = row
      if (now - saidAt < SAID_AGAIN_MS || (failed.size === 0 && delivered === 0)) continue
      if (failed.size === 0) {
        this.#failing.delete(handler)
        this.#logger.info({ handler, delivered }, 'the handler delivers again')
        continue
      }
      const counts = { delivered, failed: Object.fromEntries(failed) }
      this.#logger.warn({ handler, ...counts }, 'deliveries to a handler still fail')
      row.saidAt = now
      row.delivered = 0
      failed.clear()
    }
    return STEP_MS
  }
}
