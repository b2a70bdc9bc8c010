/**
 * Plans one partition for all its handlers (delivery §1). One step: read a batch, decide purely, commit; planning
 * happens once because the commit moves positions by compare-and-swap, whoever else tries. A handler that is behind
 * (held, paused or new) is planned by the same step for itself, in turns with the index.
 * A crash anywhere leaves either nothing of a step or all of it.
 */
import assert from 'node:assert/strict'
import type { Clock } from '../core/clock.ts'
import type { SourceConfig } from '../core/config/config.ts'
import { isHooktrailError, type HooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog, ReadResult, TopicPartition } from '../core/ports/event-log.ts'
import type { JobQueue } from '../core/ports/job-queue.ts'
import { INDEX_HANDLER, type JobStore, type StepDecision } from '../core/ports/job-store.ts'
import type { Metrics } from '../core/ports/metrics.ts'
import { cutRead } from '../core/plan/cut-read.ts'
import { planBatch, type BatchPlan } from '../core/plan/plan-batch.ts'
import type { PlanHandler } from '../core/plan/plan-handler.ts'
import { handlerOf } from '../core/replay/replay-name.ts'
import type { Backlog } from './backlog.ts'
import { chooseSteps, type StepChoice } from './choose-step.ts'
import type { HandlerLags } from './handler-lags.ts'
import type { HourlyNotice } from './hourly-notice.ts'
import { KeyConflicts } from './key-conflicts.ts'
import { LEASE_RETRY_MS, type Lease } from './lease.ts'
import { Pace } from '../core/pace.ts'
import type { PayloadCache } from './payload-cache.ts'
import { PlanQuarantine } from './plan-quarantine.ts'
import { StuckHandlers } from './stuck-handlers.ts'
import type { WaitList } from './wait-list.ts'

export const STEP_RECORDS_MAX = 500
export const STEP_BYTES_MAX = 4 * 1024 * 1024
const TAIL_WAIT_MS = 1_000
/** A step costs about as much as planning so many events; smaller ones wait a little for more (pace.ts). */
const STEP_RECORDS_ENOUGH = 100
const QUIET_RECORDS_PER_SECOND = 100
const STEP_PAUSE_MS_MAX = 100
/** Positions are kept in memory between steps and read again after this long, or when a commit disagrees. */
const POSITIONS_KEPT_MS = 1_000

export interface PlannerOptions {
  readonly at: TopicPartition
  readonly source: SourceConfig
  readonly handlers: readonly PlanHandler[]
  /** Handlers whose jobs are sent by this process: their payloads are kept. */
  readonly served: ReadonlySet<string>
  readonly eventTtlMs: number | null
  /** Default: STEP_RECORDS_MAX. */
  readonly stepRecordsMax?: number
  readonly generation: string
  readonly bodyDigest: (body: Buffer) => Buffer
  /** Log and archive as one: a backlog goes on where the log was cut. */
  readonly log: Pick<EventLog, 'read'>
  readonly store: Pick<JobStore, 'positions' | 'commitStep' | 'ping'>
  readonly queue: Pick<JobQueue, 'offer'>
  readonly lease: Lease
  readonly backlog: Pick<Backlog, 'admits' | 'room' | 'reserve' | 'settle' | 'planned'>
  /** Of all partitions together. */
  readonly filterErrors: HourlyNotice
  readonly payloads: PayloadCache
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: Metrics
  readonly lags: Pick<HandlerLags, 'note'>
  readonly waits: WaitList
  /** Of a replay: the exclusive end of its range, which the index has passed. The index is left alone. */
  readonly until?: bigint
}

export type PlannerStep = 'committed' | 'lost' | 'idle' | 'not-leased'

export class PartitionPlanner {
  readonly name: string
  readonly #options: PlannerOptions
  readonly #quarantine: PlanQuarantine
  readonly #stuck: StuckHandlers
  readonly #conflicts: KeyConflicts
  readonly #stepRecordsMax: number
  readonly #pace = new Pace({
    quietPerSecond: QUIET_RECORDS_PER_SECOND,
    enough: STEP_RECORDS_ENOUGH,
    pauseMsMax: STEP_PAUSE_MS_MAX,
  })
  #records = 0
  #positions: Map<string, bigint> | null = null
  #positionsReadAt = 0
  #lastKind: StepChoice['kind'] = 'catch-up'

  constructor(options: PlannerOptions) {
    this.#options = options
    this.name = `plan ${options.at.topic}/${options.at.partition}`
    this.#quarantine = new PlanQuarantine(options.store)
    this.#stepRecordsMax = options.stepRecordsMax ?? STEP_RECORDS_MAX
    this.#stuck = new StuckHandlers({ ...options, name: this.name })
    this.#conflicts = new KeyConflicts(options)
  }

  async run(signal: AbortSignal): Promise<number> {
    this.#records = 0
    if ((await this.step(signal)) === 'not-leased') return LEASE_RETRY_MS
    return this.#pace.next(this.#records, this.#options.clock.monotonic())
  }

  async step(signal: AbortSignal, tailWaitMs: number = TAIL_WAIT_MS): Promise<PlannerStep> {
    if (!(await this.#options.lease.hold())) return 'not-leased'
    const positions = await this.#standing()
    const untilRoom = AbortSignal.any([signal, this.#options.backlog.room])
    const { until } = this.#options
    const { index, catchUp } = chooseSteps({
      index: until ?? positions.get(INDEX_HANDLER) ?? 0n,
      handlers: this.#handlerPositions(positions),
      admits: (handler) => this.#admits(handler),
    })
    if (until !== undefined) return catchUp === null ? 'idle' : this.#take(catchUp, 0, signal)
    const choice = catchUp !== null && this.#lastKind === 'index' ? catchUp : index
    this.#lastKind = choice.kind
    const waitMs = catchUp === null ? Math.min(tailWaitMs, this.#stuck.retryMs()) : 0
    const result = await this.#take(choice, waitMs, untilRoom)
    // Nothing new for the index, but somebody is behind: that one is next.
    return result === 'idle' && catchUp !== null && choice === index
      ? this.#take(catchUp, 0, signal).finally(() => (this.#lastKind = 'catch-up'))
      : result
  }

  /** Of a replay that is over: nobody waits for what it still needed. */
  end(): void {
    this.#stuck.goOn(this.#options.handlers.map(({ name }) => name))
  }

  async #standing(): Promise<Map<string, bigint>> {
    const { store, at, clock } = this.#options
    const now = clock.monotonic()
    if (this.#positions === null || now - this.#positionsReadAt > POSITIONS_KEPT_MS) {
      const rows = await store.positions(at.topicId, at.partition)
      this.#positions = new Map(rows.map(({ handler, next }) => [handler, next]))
      this.#positionsReadAt = now
    }
    return this.#positions
  }

  /** Positions of the handlers of this configuration; a removed handler keeps its row and is left alone. */
  #handlerPositions(positions: ReadonlyMap<string, bigint>): Map<string, bigint> {
    const own = new Map<string, bigint>()
    for (const { name } of this.#options.handlers) {
      const next = positions.get(name)
      if (next !== undefined) own.set(name, next)
    }
    return own
  }

  #admits(handler: string): boolean {
    return !this.#stuck.has(handler) && this.#options.backlog.admits(handler, this.#stepRecordsMax)
  }

  async #take(choice: StepChoice, waitMs: number, signal: AbortSignal): Promise<PlannerStep> {
    const { backlog } = this.#options
    const batch = await this.#read(choice, waitMs, signal)
    if (batch === null || batch.next === choice.first) return 'idle'
    this.#records += batch.records.length
    backlog.reserve(choice.handlers, batch.records.length)
    try {
      const result = await this.#commit(choice, batch)
      this.#quarantine.succeeded(choice.first)
      return result
    } catch (error) {
      this.#positions = null
      await this.#quarantine.failed(error, choice.first, batch.next)
      throw error
    } finally {
      backlog.settle(choice.handlers, batch.records.length)
    }
  }

  async #read(choice: StepChoice, waitMs: number, signal: AbortSignal): Promise<ReadResult | null> {
    const recordsMax = this.#quarantine.recordsMax(choice.first, this.#stepRecordsMax)
    const room = choice.until === null ? recordsMax : Number(choice.until - choice.first)
    try {
      const result = await this.#options.log.read({
        ...this.#options.at,
        from: choice.first,
        recordsMax: Math.min(recordsMax, room),
        bytesMax: STEP_BYTES_MAX,
        waitMsMax: waitMs,
        signal,
      })
      this.#measureLag(choice, result)
      if (result.next === choice.first && result.tier === 'archive') this.#stuck.await(choice.handlers)
      else this.#stuck.goOn(choice.handlers)
      return cutRead(result, choice.until)
    } catch (error) {
      // Who stands in the log is planned on: only these wait for the archive.
      if (choice.kind === 'index' || !isOfArchive(error)) throw error
      this.#stuck.fail(choice.handlers, choice.first, error)
      return null
    }
  }

  async #commit(choice: StepChoice, batch: ReadResult): Promise<PlannerStep> {
    const { at, generation, store } = this.#options
    const handlers = this.#options.handlers.filter(({ name }) => choice.handlers.includes(name))
    const plan = this.#plan(choice, batch, handlers)
    const decisions: StepDecision[] = []
    const span = { first: choice.first, next: batch.next }
    const outcome = await store.commitStep(
      { ...at, ...span, generation, handlers: choice.handlers, claims: plan.claims },
      // The store may call it again when it repeats the transaction; the last call counts.
      (locked) => {
        const decision = plan.decide(locked)
        decisions.push(decision)
        return decision
      },
    )
    const decision = decisions.at(-1)
    switch (outcome.kind) {
      case 'lost':
        this.#positions = null
        return 'lost'
      case 'committed':
        assert(decision !== undefined, 'a committed step was decided')
        this.#committed(plan, decision, batch.next)
        this.#offer(outcome.planned, decision)
        return 'committed'
      default:
        return outcome satisfies never
    }
  }

  #plan(choice: StepChoice, batch: ReadResult, handlers: readonly PlanHandler[]): BatchPlan {
    const { at, source, eventTtlMs, clock, bodyDigest } = this.#options
    return planBatch({
      at,
      first: choice.first,
      next: batch.next,
      records: batch.records,
      gaps: batch.gaps,
      handlers,
      dedup: source.dedup,
      eventTtlMs,
      nowMs: clock.now(),
      quarantined: this.#quarantine.isolates(choice.first),
      bodyDigest,
    })
  }

  #committed(plan: BatchPlan, decision: StepDecision, next: bigint): void {
    const { at, backlog, payloads, source, served, filterErrors, logger, metrics } = this.#options
    for (const { handler, counts, conflicts } of decision.steps) {
      if (handler === INDEX_HANDLER) this.#conflicts.note(conflicts)
      this.#positions?.set(handler, next)
      if (counts.lost > 0) this.#noteLoss(handler, counts.lost, next)
      const errors = counts.errors === 0 ? null : filterErrors.note(handler, counts.errors)
      if (errors !== null)
        logger.error({ ...deadFields(handler, decision), jobs: errors }, 'jobs are dead at planning')
      backlog.planned(handler, counts.planned)
      if (handler === INDEX_HANDLER && counts.duplicate > 0)
        metrics.count('events_duplicate_total', { source: source.name }, counts.duplicate)
    }
    for (const { handler, state } of decision.jobs)
      if (state === 'dead') metrics.count('dlq_total', { handler: handlerOf(handler) })
    const due = new Set(decision.jobs.flatMap(({ handler, offset }) => (served.has(handler) ? [offset] : [])))
    payloads.put(
      at,
      plan.events.filter(({ offset }) => due.has(offset)),
    )
  }

  /** A lost offer costs a poll interval, or a round of the pump: the jobs are in the store. */
  #offer(handlers: readonly string[], decision: StepDecision): void {
    const { queue, logger } = this.#options
    for (const handler of handlers) {
      const jobs = decision.jobs.filter((job) => job.handler === handler && job.state === 'available')
      const hints = jobs.map(({ jobId }) => ({ jobId, attempt: 1 }))
      queue.offer(handler, hints).catch((error: unknown) => {
        logger.debug({ handler, err: error }, 'jobs were not offered; they are found in the store')
      })
    }
  }

  #measureLag({ handlers, first }: StepChoice, { highWatermark, records }: ReadResult): void {
    const [oldest] = records
    const lagMs = oldest === undefined ? 0 : this.#options.clock.now() - Number(oldest.timestampMs)
    const lag = { records: Number(highWatermark - first), seconds: Math.max(lagMs, 0) / 1000 }
    for (const handler of handlers)
      if (handler !== INDEX_HANDLER) this.#options.lags.note(handler, this.#options.at.partition, lag)
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
}

/** One event and what its filter said stand for all of the step. */
function deadFields(handler: string, { jobs }: StepDecision): Record<string, unknown> {
  const first = jobs.find((job) => job.handler === handler && job.state === 'dead')
  const { errorClass, errorDetail, eventId } = first ?? {}
  return { handler, error: errorClass, detail: errorDetail, event_id: eventId }
}

/** The log itself is there, and does not hold the offset any more; what failed is reading it elsewhere. */
function isOfArchive(error: unknown): error is HooktrailError {
  return (
    isHooktrailError(error) && (error.code.startsWith('ARCHIVE_') || error.code === 'LOG_OFFSET_OUT_OF_RANGE')
  )
}
