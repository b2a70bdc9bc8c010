/**
 * Port: replays as operators and the dispatcher's desk see them, how they are planned and taken; groups of the job store
 * (its duties: job-store.ts). Offsets are fixed when a replay is created, and what an operator does commits with its audit
 * row (I9).
 */
import type { AuditEntry } from './dead-letter-store.ts'
import type { TakenJob } from './delivery-store.ts'
import type { TopicId } from './event-log.ts'
import type { Page } from './operator-store.ts'
import type { LockedStep, Position, StepDecision, StepOutcome, StepRequest, Verdict } from './plan-store.ts'

/** Running, paused or being counted at once, of one handler. */
export const OPEN_REPLAYS_MAX = 16

export interface ReplayRange {
  readonly topicId: TopicId
  readonly partition: number
  readonly first: bigint
  /** Exclusive. */
  readonly end: bigint
}

export interface RangeProgress extends ReplayRange {
  /** What lies before it is planned, or counted. */
  readonly next: bigint
}

/** `counted`: a dry run that is over; it delivers when it is resumed. */
export type ReplayStatus = 'counting' | 'counted' | 'running' | 'paused' | 'completed' | 'cancelled'

export interface ReplayScope {
  readonly replayId: string
  /** Empty where it goes to a topic. */
  readonly handler: string
  /** Outside hooktrail's own; null: it is delivered to the handler. */
  readonly toTopic: string | null
  readonly source: string
  readonly topic: string
  /** CEL beside the handler's own; null: none. */
  readonly filter: string | null
  /** Null: all of the ranges. */
  readonly eventIds: readonly string[] | null
}

export interface NewReplay extends ReplayScope {
  /** Jobs a second, of all dispatchers together; null: as fast as its handler's slots allow. */
  readonly perSecond: number | null
  /** What was asked for, for people. */
  readonly asked: Readonly<Record<string, unknown>>
  /** Counts, and waits to be resumed. */
  readonly isDryRun: boolean
  readonly ranges: readonly ReplayRange[]
  readonly audit: AuditEntry
}

/** What became of its jobs, or of records that went to a topic; open ones are available, running or wait for a retry. */
export interface ReplayResult {
  readonly delivered: number
  readonly dead: number
  readonly discarded: number
  readonly open: number
}

/** Of the offsets that are planned, or counted. */
export interface ReplayCounts {
  readonly planned: number
  readonly filtered: number
  readonly duplicate: number
  readonly errors: number
  readonly skipped: number
  readonly lost: number
}

export interface ReplayView extends ReplayScope, ReplayResult {
  readonly status: ReplayStatus
  readonly perSecond: number | null
  readonly asked: Readonly<Record<string, unknown>>
  readonly reason: string | null
  readonly createdAtMs: number
  readonly endedAtMs: number | null
  readonly ranges: readonly RangeProgress[]
  readonly counts: ReplayCounts
}

/** One that somebody has to do something for. */
export interface OpenReplay extends ReplayScope {
  readonly name: string
  readonly perSecond: number | null
  readonly status: 'counting' | 'running' | 'cancelled'
  readonly ranges: readonly RangeProgress[]
  /** Its jobs that are available or running, and those that wait for a retry. */
  readonly ready: number
  readonly retryable: number
}

export type ReplayAction = 'pause' | 'resume' | 'cancel'

export interface ReplayStore {
  /** Repeating it is harmless. 'too-many': the handler has OPEN_REPLAYS_MAX already. */
  createReplay(replay: NewReplay): Promise<'created' | 'too-many'>
  /** Newest first. */
  listReplays(filter: { handler?: string; cursor?: string; limit: number }): Promise<Page<ReplayView>>
  getReplay(replayId: string): Promise<ReplayView | null>
  /**
   * From the commit of a pause or a cancel on nothing of it is taken. A cancel discards what is open or dead; what was
   * sent then ends by itself. 'refused': it is in another state.
   */
  changeReplay(
    replayId: string,
    action: ReplayAction,
    audit: AuditEntry,
  ): Promise<'changed' | 'refused' | 'not-found'>
  /** Of these handlers, and all that go to topics; without those that are paused or over. */
  openReplays(handlers: readonly string[]): Promise<readonly OpenReplay[]>
  /** Ends what is over and counts as done what is counted; discards what a cancelled one still has. Returns ids of ended ones. */
  settleReplays(): Promise<readonly string[]>
}

export interface ReplayTake {
  /** Of the replay (core/replay/replay-name.ts): the handler of what it plans and of its jobs. */
  readonly name: string
  readonly slots: number
  readonly leaseMs: number
  readonly generation: string
}

export interface ReplayDeliveryStore {
  /** Where the replay stands in one partition; none where it has no range there. */
  replayPositions(name: string, topicId: TopicId, partition: number): Promise<readonly Position[]>
  /**
   * As `commitStep` for one replay, its only handler. Verdicts are those of the index; where nobody remembers them any
   * more they are decided inside the replay. Of one that is being counted only the counts are written. 'lost' also when
   * it may not be planned now. With `publish` nothing is planned: what was decided is handed to it before the commit, which a
   * pause or cancel waits for; a crash in between, or a commit that fails, hands it out again.
   */
  commitReplayStep(
    request: StepRequest,
    decide: (locked: LockedStep) => StepDecision,
    publish?: (decision: StepDecision) => Promise<void>,
  ): Promise<StepOutcome>
  /** By offset, for reading alone: those that the index passed and somebody still remembers. */
  rememberedVerdicts(request: StepRequest): Promise<ReadonlyMap<bigint, Verdict>>
  /**
   * Due jobs of one running replay within its rate, while its handler is active and no live job of that handler is due
   * and untaken. None after the commit of a pause or cancel.
   */
  takeReplayed(request: ReplayTake): Promise<readonly TakenJob[]>
}
