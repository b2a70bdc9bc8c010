/**
 * A job that died at planning because its filter failed on the event was wanted by nobody yet. When an operator retries it
 * the filter in force is asked before anything is sent; an event that it does not want is discarded, on record. A crash
 * between its attempt and the discard leaves a dead letter of the class `filtered`.
 */
import { FILTER_ERROR, filterAnswered, type Decision } from '../core/delivery/decide-outcome.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import { matchEvent } from '../core/plan/match-event.ts'
import type { PlanHandler } from '../core/plan/plan-handler.ts'
import type { TakenJob } from '../core/ports/delivery-store.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { EventRecord } from '../core/record/event-record.ts'

/** Whoever retries an event wants it however old it is, and whatever became of its step. */
const NOW = { eventTtlMs: null, nowMs: 0, quarantined: false } as const

export interface RetriedFilterOptions {
  /** Of the configuration in force. */
  readonly planned: PlanHandler
  readonly store: Pick<JobStore, 'settleDeadJob'>
  readonly logger: Logger
}

export class RetriedFilter {
  readonly #options: RetriedFilterOptions

  constructor(options: RetriedFilterOptions) {
    this.#options = options
  }

  /** Null: it is delivered. */
  judge({ lastError }: TakenJob, event: EventRecord): Decision | null {
    if (lastError !== FILTER_ERROR) return null
    const [match] = matchEvent(event, [this.#options.planned], NOW)
    return match === undefined ? null : filterAnswered(match)
  }

  /** Of a job that has just died because nobody wants its event. */
  async discard({ jobId }: TakenJob): Promise<void> {
    const { store, logger } = this.#options
    const reason = 'the filter in force does not want it'
    const audit = { actor: 'hooktrail', action: 'job.discard', target: jobId, reason, details: {} }
    try {
      await store.settleDeadJob(jobId, { kind: 'discard' }, audit)
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      logger.warn({ job_id: jobId, err: error }, 'filtered: the job stays among the dead letters')
    }
  }
}
