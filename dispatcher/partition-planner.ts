/**
 * Plans one partition for all its handlers (delivery §1). One step: read a batch, decide purely, commit; planning
 * happens once because the commit moves positions by compare-and-swap, whoever else tries. A handler that is behind
 * (held, paused or new) is planned by the same step for itself, in turns with the index.
 * A crash anywhere leaves either nothing of a step or all of it.
 */
import assert from 'node:assert/strict'
import { Pace } from '../core/pace.ts'
import { planBatch, type BatchPlan } from '../core/plan/plan-batch.ts'
import type { PlanHandler } from '../core/plan/plan-handler.ts'
import type { ReadResult } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { INDEX_HANDLER, type StepDecision } from '../core/ports/plan-store.ts'
import type { Backlog } from './backlog.ts'
import { chooseSteps, type StepChoice } from './choose-step.ts'
import { LEASE_RETRY_MS, type Lease } from './lease.ts'
import { PlanEffects, type PlanEffectsOptions } from './plan-effects.ts'
import { PlanQuarantine } from './plan-quarantine.ts'
import { StepReader, type StepReaderOptions } from './step-reader.ts'
import { StuckHandlers } from './stuck-handlers.ts'
import type { WaitList } from './wait-list.ts'

export const STEP_RECORDS_MAX = 500
const TAIL_WAIT_MS = 1_000
/** A step costs about as much as planning so many events; smaller ones wait a little for more (pace.ts). */
const STEP_RECORDS_ENOUGH = 100
const QUIET_RECORDS_PER_SECOND = 100
const STEP_PAUSE_MS_MAX = 100
/** Positions are kept in memory between steps and read again after this long, or when a commit disagrees. */
const POSITIONS_KEPT_MS = 1_000

export interface PlannerOptions extends StepReaderOptions, PlanEffectsOptions {
  readonly handlers: readonly PlanHandler[]
  readonly eventTtlMs: number | null
  /** Default: STEP_RECORDS_MAX. */
  readonly stepRecordsMax?: number
  readonly generation: string
  readonly bodyDigest: (body: Buffer) => Buffer
  readonly store: Pick<JobStore, 'positions' | 'commitStep' | 'ping'>
  readonly lease: Lease
  readonly backlog: Pick<Backlog, 'admits' | 'room' | 'reserve' | 'settle' | 'planned'>
  readonly waits: WaitList
  /** Names the server that log and store answer from, where both are one database; absent: steps are committed wherever. */
  readonly server?: () => string | null
  /** Of a replay: the exclusive end of its range, which the index has passed. The index is left alone. */
  readonly until?: bigint
  /** Of a dry run: there are no jobs, so nothing follows from a step but its counts. */
  readonly isDryRun?: boolean
}

export type PlannerStep = 'committed' | 'lost' | 'idle' | 'not-leased'

export class PartitionPlanner {
  readonly name: string
  readonly #options: PlannerOptions
  readonly #quarantine: PlanQuarantine
  readonly #stuck: StuckHandlers
  readonly #reader: StepReader
  readonly #effects: PlanEffects
  readonly #stepRecordsMax: number
  readonly #pace = new Pace({
    quietPerSecond: QUIET_RECORDS_PER_SECOND,
    enough: STEP_RECORDS_ENOUGH,
    pauseMsMax: STEP_PAUSE_MS_MAX,
  })
  #records = 0
  #positions: Map<string, bigint> | null = null
  #positionsReadAt = 0
  /** Where they were read, and everything behind them. */
  #server: string | null = null
  #lastKind: StepChoice['kind'] = 'catch-up'

  constructor(options: PlannerOptions) {
    this.#options = options
    this.name = `plan ${options.at.topic}/${options.at.partition}`
    this.#quarantine = new PlanQuarantine(options.store)
    this.#stepRecordsMax = options.stepRecordsMax ?? STEP_RECORDS_MAX
    this.#stuck = new StuckHandlers({ ...options, name: this.name })
    this.#reader = new StepReader(options, this.#stuck)
    this.#effects = new PlanEffects(options)
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
    const server = this.#options.server?.() ?? null
    const isOld = now - this.#positionsReadAt > POSITIONS_KEPT_MS
    if (this.#positions === null || isOld || this.#server !== server) {
      this.#server = server
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
    const recordsMax = this.#quarantine.recordsMax(choice.first, this.#stepRecordsMax)
    const batch = await this.#reader.read(choice, { recordsMax, waitMs, signal })
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

  async #commit(choice: StepChoice, batch: ReadResult): Promise<PlannerStep> {
    const { at, generation, store } = this.#options
    const handlers = this.#options.handlers.filter(({ name }) => choice.handlers.includes(name))
    const plan = this.#plan(choice, batch, handlers)
    const decisions: StepDecision[] = []
    const span = { first: choice.first, next: batch.next }
    const outcome = await store.commitStep(
      { ...at, ...span, generation, handlers: choice.handlers, claims: plan.claims, server: this.#server },
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
        for (const { handler } of decision.steps) this.#positions?.set(handler, batch.next)
        if (this.#options.isDryRun !== true)
          this.#effects.follow({ plan, decision, next: batch.next, planned: outcome.planned })
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
}
