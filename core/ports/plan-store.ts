/**
 * Port: planning of partitions and positions, a group of the job store. Its duties: job-store.ts.
 */
import type { StepFact } from '../recovery/fact.ts'
import type { TopicId } from './event-log.ts'

/** The index's own position is stored under this name; handlers' names never are empty. */
export const INDEX_HANDLER = ''

export interface Position {
  readonly handler: string
  readonly topicId: TopicId
  readonly partition: number
  readonly next: bigint
}

export interface DedupClaim {
  readonly source: string
  readonly key: string
  readonly offset: bigint
  readonly eventId: string
  readonly timestampMs: bigint
  /** HMAC-SHA-256 of the body under digest_key. */
  readonly bodyDigest: Buffer
  readonly windowMs: number
}

export type Verdict =
  | { readonly kind: 'first' }
  | { readonly kind: 'duplicate'; readonly originalEventId: string; readonly conflict: boolean }

export interface EventRow {
  readonly eventId: string
  readonly source: string
  readonly type: string
  readonly subject: string | null
  readonly receivedAtMs: number
  readonly offset: bigint
  readonly timestampMs: bigint
  readonly uniqueKey: string | null
  readonly sizeBytes: number
  readonly verdict: Verdict
}

export interface NewJob {
  readonly jobId: string
  readonly eventId: string
  readonly handler: string
  readonly source: string
  readonly eventType: string
  readonly offset: bigint
  /** 'available', or 'dead' at once for a filter error. */
  readonly state: 'available' | 'dead'
  readonly errorClass: string | null
  readonly errorDetail: string | null
  readonly maxAttempts: number
}

export interface PlanCounts {
  readonly planned: number
  readonly filtered: number
  readonly duplicate: number
  readonly expired: number
  readonly errors: number
  readonly skipped: number
  readonly lost: number
}

export interface PlanStepRow {
  /** INDEX_HANDLER for the index itself. */
  readonly handler: string
  readonly counts: PlanCounts
  readonly conflicts: number
  readonly plannedOffsets: readonly bigint[]
}

export interface StepRequest {
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
  readonly first: bigint
  readonly next: bigint
  readonly generation: string
  /** Handlers to plan for, INDEX_HANDLER included when the index stands at `first`. */
  readonly handlers: readonly string[]
  readonly claims: readonly DedupClaim[]
  /** Where the positions were read by the name of its server; elsewhere the step is refused. Absent: anywhere. */
  readonly server?: string | null
}

/** An event came again: the job of the one before is available again, if it is dead or discarded. */
export interface Revival {
  readonly handler: string
  readonly originalEventId: string
  /** The repetition, for the audit row that is written with it. */
  readonly eventId: string
  /** Attempts that the job may make beyond those that it had. */
  readonly budget: number
}

export interface StepDecision {
  readonly events: readonly EventRow[]
  readonly jobs: readonly NewJob[]
  readonly steps: readonly PlanStepRow[]
  /** Absent: none. Those whose original is an event of the same step change nothing. */
  readonly revivals?: readonly Revival[]
}

/** What the pure decision gets to see inside the transaction. */
export interface LockedStep {
  /** Handlers of the request that still stand at `first`, their rows locked. */
  readonly handlers: ReadonlySet<string>
  /** By offset, one for each claim. */
  readonly verdicts: ReadonlyMap<bigint, Verdict>
}

export type StepOutcome =
  /** `planned`: handlers with jobs that are due now. */
  | { readonly kind: 'committed'; readonly planned: readonly string[] }
  /** The index moved since the request was made: nothing was written. */
  | { readonly kind: 'lost' }

export interface HandlerStart {
  readonly handler: string
  readonly source: string
  /** `next`: for a new handler; `first`: for a partition that came after the handler. */
  readonly positions: readonly { topicId: TopicId; partition: number; next: bigint; first: bigint }[]
}

export interface PlanStore {
  /** Writes the handler and all its positions unless the handler exists; then adds only positions of partitions that it lacks, at `first`. */
  registerHandler(start: HandlerStart): Promise<{ readonly created: boolean }>
  /** Makes the index's rows for partitions that have none, at `next`. */
  ensureIndex(topicId: TopicId, partition: number, next: bigint): Promise<void>
  /** True when the index has ever planned this topic id. */
  indexedBefore(topicId: TopicId): Promise<boolean>
  positions(topicId: TopicId, partition: number): Promise<readonly Position[]>
  allPositions(): Promise<readonly Position[]>
  /**
   * One planning transaction (delivery §1.3): locks position rows in order, keeps those at `first`, claims keys sorted
   * by (source, key) when the index is among them (else reads the verdicts). An event id is planned once: a record that
   * has the id of another one is a duplicate of that id, whatever its key, as long as keys are remembered. Then it calls `decide` (pure; perhaps more than
   * once, the last call counts), writes events,
   * jobs and plan steps, then moves each position from `first` to `next` by compare-and-swap.
   */
  commitStep(request: StepRequest, decide: (locked: LockedStep) => StepDecision): Promise<StepOutcome>
  /** Jobs in each open state, by handler; one that waits for its time counts as retryable. Feeds the bounds. */
  openJobs(): Promise<readonly { handler: string; available: number; running: number; retryable: number }[]>
}

export interface ToldStep {
  readonly fact: StepFact
  readonly request: StepRequest
}

/** Planning while the store recovers, and only then (recovery-store.ts). */
export interface PlanRecoveryStore {
  /** What was told of a step is written under its own number. False where the position does not stand at `first`: nothing was written then. */
  recoverStep(step: ToldStep, decide: (locked: LockedStep) => StepDecision): Promise<boolean>
  /** As commitStep, for what is planned anew before deliveries go on. */
  commitRest(request: StepRequest, decide: (locked: LockedStep) => StepDecision): Promise<StepOutcome>
}
