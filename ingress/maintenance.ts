/**
 * What the ingress does beside requests: makes its topics once the log answers (and again when they were replaced),
 * asks how full the log's disk is, and writes the summary of duplicates. One step a second; nothing here is awaited by
 * a request.
 */
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog, Topic, TopicSpec } from '../core/ports/event-log.ts'
import type { DiskGuard } from './disk-guard.ts'
import { SUMMARY_INTERVAL_MS, type DuplicateSummary } from './duplicate-summary.ts'

export const STEP_MS = 1000
const DISK_INTERVAL_MS = 5000

export interface MaintenanceDeps {
  readonly log: EventLog
  readonly specs: readonly TopicSpec[]
  /** By name; filled here, emptied by whoever finds them replaced. */
  readonly topics: Map<string, Topic>
  readonly disk: DiskGuard
  readonly summary: DuplicateSummary
  readonly clock: Clock
  readonly logger: Logger
}

export class Maintenance {
  readonly #deps: MaintenanceDeps
  readonly #looked = Promise.withResolvers<void>()
  #logAnswered = false
  #complained = false
  #diskAtMs = -Infinity
  #summaryAtMs: number

  constructor(deps: MaintenanceDeps) {
    this.#deps = deps
    this.#summaryAtMs = deps.clock.monotonic()
  }

  get logAnswered(): boolean {
    return this.#logAnswered
  }

  /** Resolves after the first step, whether the log answered or not. */
  get looked(): Promise<void> {
    return this.#looked.promise
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.step()
      this.#looked.resolve()
      await this.#deps.clock.sleep(STEP_MS, signal)
    }
  }

  async step(): Promise<void> {
    const nowMs = this.#deps.clock.monotonic()
    if (this.#deps.topics.size === 0) await this.#findTopics()
    if (nowMs - this.#diskAtMs >= DISK_INTERVAL_MS) {
      this.#diskAtMs = nowMs
      await this.#deps.disk.step()
    }
    if (nowMs - this.#summaryAtMs >= SUMMARY_INTERVAL_MS) {
      this.#summaryAtMs = nowMs
      await this.finish()
    }
  }

  /** Writes what was counted since the last summary. */
  async finish(): Promise<void> {
    const { summary, clock, logger } = this.#deps
    await summary.step(clock.now()).catch((error: unknown) => {
      logger.warn({ err: error }, 'the summary of duplicates could not be written; it is tried again')
    })
  }

  async #findTopics(): Promise<void> {
    const { log, specs, topics, logger } = this.#deps
    try {
      for (const topic of await log.ensureTopics(specs)) topics.set(topic.name, topic)
      this.#logAnswered = true
      this.#complained = false
    } catch (error) {
      if (!this.#complained) logger.warn({ err: error }, 'the log does not answer: requests are answered 503')
      this.#complained = true
    }
  }
}
