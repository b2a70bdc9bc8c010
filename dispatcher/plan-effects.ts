/**
 * What follows a committed planning step in this process: jobs are offered, payloads kept, and what operators should know
 * is counted and said. Nothing here is needed for anything to be delivered: a crash before it costs a poll interval.
 */
import type { Clock } from '../core/clock.ts'
import type { SourceConfig } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'
import type { BatchPlan } from '../core/plan/plan-batch.ts'
import type { TopicPartition } from '../core/ports/event-log.ts'
import type { JobQueue } from '../core/ports/job-queue.ts'
import { INDEX_HANDLER, type PlanStepRow, type StepDecision } from '../core/ports/plan-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { handlerOf } from '../core/replay/replay-name.ts'
import type { Backlog } from './backlog.ts'
import type { HourlyNotice } from './hourly-notice.ts'
import { KeyConflicts } from './key-conflicts.ts'
import type { PayloadCache } from './payload-cache.ts'

export interface PlanEffectsOptions {
  readonly at: TopicPartition
  readonly source: SourceConfig
  /** Handlers whose jobs are sent by this process: their payloads are kept. */
  readonly served: ReadonlySet<string>
  readonly queue: Pick<JobQueue, 'offer'>
  readonly backlog: Pick<Backlog, 'planned'>
  /** Of all partitions together. */
  readonly filterErrors: HourlyNotice
  readonly payloads: PayloadCache
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
}

export interface CommittedStep {
  readonly plan: BatchPlan
  readonly decision: StepDecision
  /** Exclusive end of the step. */
  readonly next: bigint
  /** Handlers with jobs that are due now. */
  readonly planned: readonly string[]
}

export class PlanEffects {
  readonly #options: PlanEffectsOptions
  readonly #conflicts: KeyConflicts

  constructor(options: PlanEffectsOptions) {
    this.#options = options
    this.#conflicts = new KeyConflicts(options)
  }

  follow(step: CommittedStep): void {
    for (const row of step.decision.steps) this.#noteStep(row, step)
    for (const { handler, state } of step.decision.jobs)
      if (state === 'dead') this.#options.metrics.count('dlq_total', { handler: handlerOf(handler) })
    this.#keepPayloads(step)
    this.#offer(step)
  }

  #noteStep({ handler, counts, conflicts }: PlanStepRow, { decision, next }: CommittedStep): void {
    const { backlog, source, filterErrors, logger, metrics } = this.#options
    if (counts.lost > 0) this.#noteLoss(handler, counts.lost, next)
    const errors = counts.errors === 0 ? null : filterErrors.note(handler, counts.errors)
    if (errors !== null)
      logger.error({ ...deadFields(handler, decision), jobs: errors }, 'jobs are dead at planning')
    backlog.planned(handler, counts.planned)
    if (handler !== INDEX_HANDLER) return
    this.#conflicts.note(conflicts)
    if (counts.duplicate > 0)
      metrics.count('events_duplicate_total', { source: source.name }, counts.duplicate)
  }

  /** Counted once, by the index; handlers that come by later say it for themselves. */
  #noteLoss(handler: string, lost: number, next: bigint): void {
    const { at, source, logger, metrics } = this.#options
    const isIndex = handler === INDEX_HANDLER
    if (isIndex) metrics.count('offsets_lost_total', { source: source.name }, lost)
    const place = { topic: at.topic, partition: at.partition, before: String(next) }
    logger.error(
      { ...place, handler: isIndex ? null : handler, lost },
      'offsets are lost: neither log nor archive holds what was there, and the archive says so',
    )
  }

  #keepPayloads({ plan, decision }: CommittedStep): void {
    const { at, payloads, served } = this.#options
    const due = new Set(decision.jobs.flatMap(({ handler, offset }) => (served.has(handler) ? [offset] : [])))
    payloads.put(
      at,
      plan.events.filter(({ offset }) => due.has(offset)),
    )
  }

  /** A lost offer costs a poll interval, or a round of the pump: the jobs are in the store. */
  #offer({ planned, decision }: CommittedStep): void {
    const { queue, logger } = this.#options
    for (const handler of planned) {
      const jobs = decision.jobs.filter((job) => job.handler === handler && job.state === 'available')
      const hints = jobs.map(({ jobId }) => ({ jobId, attempt: 1 }))
      queue.offer(handler, hints).catch((error: unknown) => {
        logger.debug({ handler, err: error }, 'jobs were not offered; they are found in the store')
      })
    }
  }
}

/** One event and what its filter said stand for all of the step. */
function deadFields(handler: string, { jobs }: StepDecision): Record<string, unknown> {
  const first = jobs.find((job) => job.handler === handler && job.state === 'dead')
  const { errorClass, errorDetail, eventId } = first ?? {}
  return { handler, error: errorClass, detail: errorDetail, event_id: eventId }
}
