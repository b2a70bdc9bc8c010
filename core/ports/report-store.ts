/**
 * Port: the sums of the report and the checks between them, read in one snapshot, so that traffic that flows meanwhile
 * is "in progress" and never a disagreement. What was dropped after its retention is not compared, and is said.
 * Adapter: adapters/postgres.
 */
import type { BreakerState } from './breaker-store.ts'
import type { TopicId } from './event-log.ts'

export interface ReportWindow {
  /** Of the event's receipt; null: open. `untilMs` is exclusive. */
  readonly sinceMs: number | null
  readonly untilMs: number | null
}

export interface SourceSums {
  readonly source: string
  readonly received: number
  readonly duplicate: number
  readonly conflict: number
}

/** What the plan steps say; for a window, of the steps that hold its offsets. */
export interface StepSums {
  readonly source: string
  readonly handler: string
  readonly filtered: number
  readonly duplicate: number
  readonly expired: number
  readonly lost: number
}

/** What became of the handler's jobs, and what it has not reached yet. */
export interface JobSums {
  readonly source: string
  readonly handler: string
  readonly planned: number
  /** Jobs that were made dead while they were planned: filter errors. */
  readonly errors: number
  readonly delivered: number
  readonly dead: number
  readonly discarded: number
  readonly open: number
  /** Indexed events behind which the handler still stands. */
  readonly waiting: number
}

export interface LogEnd {
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
  readonly logStart: bigint
  readonly highWatermark: bigint
}

export interface LogPartitionSums extends LogEnd {
  /** Where the index stands, null on topics that are not planned. */
  readonly indexed: bigint | null
}

export interface Disagreement {
  /** Null where the place is all that is known. */
  readonly eventId: string | null
  readonly place: string
  readonly reason: string
}

export interface ReportSums {
  readonly sources: readonly SourceSums[]
  readonly steps: readonly StepSums[]
  readonly jobs: readonly JobSums[]
  readonly partitions: readonly LogPartitionSums[]
  /** What was planned before was dropped after its retention and is not compared; null: everything is held. */
  readonly comparedFromMs: number | null
  /** At most 100 of each check. */
  readonly disagreeing: readonly Disagreement[]
}

/** How one handler stands now. */
export interface HandlerStanding {
  readonly handler: string
  readonly source: string
  readonly status: 'active' | 'paused' | 'disabled'
  readonly statusReason: string | null
  readonly breaker: BreakerState
  /** Why it opened and how long ago; null while it is closed. */
  readonly breakerReason: string | null
  readonly breakerForMs: number | null
  /** Records, in log and archive, that it has not been planned for; null where it has no position. */
  readonly lagRecords: number | null
  readonly available: number
  readonly running: number
  readonly retryable: number
  /** Dead letters that nobody has retried. */
  readonly dead: number
  /** Of the open job that is or will be due first: how long it has been due, negative while it is not. */
  readonly dueForMs: number | null
  readonly lastError: string | null
  /** How long no dispatcher has served it; null while one does, and while it is paused or disabled. */
  readonly unservedForMs: number | null
}

export interface ReportStore {
  /** Reads everything that is held: one at a time. @throws STORE_UNAVAILABLE when `signal` ended it */
  sums(window: ReportWindow, signal: AbortSignal): Promise<ReportSums>
  /** Cheap: for /health. At most 2 000, by name. @throws STORE_UNAVAILABLE when `signal` ended it */
  standings(signal: AbortSignal): Promise<readonly HandlerStanding[]>
}
