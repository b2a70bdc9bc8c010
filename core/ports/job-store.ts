/**
 * Port: jobs, attempts, positions and operators' state. Mutable, indexed, rebuildable. Adapter: adapters/postgres.
 * Groups, one file of the adapter each; a process takes only the groups that it uses.
 *
 * Duties: every method is one transaction (or one statement) and durable when it resolves. A rejection means
 * "unknown": callers repeat, and each method is written so that repeating it is harmless. All times are the
 * database's own `now()`. Positions move by compare-and-swap together with their effect (I8); a lease row is for
 * liveness only. Deadlock and serialization failures are retried by the adapter, bounded.
 */
import type { TopicId } from './event-log.ts'
import type { AttemptTimings } from './attempt-timings.ts'
import type { BreakerStore, ProbeRequest } from './breaker-store.ts'
import type { HoldStore } from './hold-store.ts'
import type { RunningRootStore } from './running-root-store.ts'
import type { LeaseStore, ServingStore } from './lease-store.ts'
import type { OperatorStore } from './operator-store.ts'
import type { StepFact } from '../recovery/fact.ts'
import type { PumpStore } from './pump-store.ts'
import type { RecoveryStore } from './recovery-store.ts'
import type { ReplayStore } from './replay-store.ts'

// ── planning ────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── taking and outcomes ─────────────────────────────────────────────────────────────────────────────────────────

export interface TakenJob {
  readonly jobId: string
  readonly eventId: string
  readonly handler: string
  readonly source: string
  readonly eventType: string
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
  readonly offset: bigint
  readonly attempt: number
  readonly maxAttempts: number
  /** Fencing token of this take. */
  readonly lease: string
  readonly createdAtMs: number
  /** Class of what happened to it before; `filter_error` stays until a request was answered. */
  readonly lastError: string | null
}

/** What happens to the job after an attempt. */
export type NextState =
  | { readonly state: 'completed' }
  | { readonly state: 'retryable'; readonly delayMs: number; readonly disableHandler?: boolean }
  | { readonly state: 'dead'; readonly disableHandler?: boolean }

export interface AttemptOutcome {
  readonly job: TakenJob
  readonly statusCode: number | null
  /** Stable class (`timeout`, `connect`, `dns`, `tls`, `blocked`, `http_4xx`, `http_5xx`, …) or null on success. */
  readonly errorClass: string | null
  readonly errorDetail: string | null
  readonly timings: AttemptTimings
  readonly remoteAddress: string | null
  readonly responseBody: Buffer | null
  readonly requestDigest: Buffer | null
  readonly generation: string
  readonly next: NextState
}

export interface TakeResult {
  readonly jobs: readonly TakenJob[]
  /** Milliseconds until the next job of this handler is due, null when there is none. */
  readonly nextDueMs: number | null
}

export interface DeliveryStore {
  /** One statement: due jobs of an active handler with a closed breaker in a store whose state is 'ok', SKIP LOCKED, attempt + 1, lease set. */
  takeDue(request: {
    handler: string
    slots: number
    leaseMs: number
    generation: string
  }): Promise<TakeResult>
  /** The same for named jobs; those not due, not open or taken are left out. */
  takeByIds(request: {
    handler: string
    jobIds: readonly string[]
    leaseMs: number
    generation: string
  }): Promise<TakeResult>
  /** As takeDue, for the round of probes of a version; nothing once that is over. */
  takeProbes(request: ProbeRequest): Promise<readonly TakenJob[]>
  /** Undoes a take that sent nothing: attempt − 1, due after `delayMs`, no attempt row; only where the lease still holds. */
  giveBack(jobs: readonly { jobId: string; lease: string; delayMs: number; reason: string }[]): Promise<void>
  /** Inserts attempts; moves each job on where its lease still holds, else marks the attempt late. Returns ids of late jobs. */
  recordOutcomes(outcomes: readonly AttemptOutcome[]): Promise<ReadonlySet<string>>
  /** Expired leases become an attempt `unknown` and a retryable (or, past max_attempts, dead) job. Returns how many. */
  reapExpired(limit: number): Promise<number>
}

// ── replays ─────────────────────────────────────────────────────────────────────────────────────────────────────

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

// ── outbox ──────────────────────────────────────────────────────────────────────────────────────────────────────

export type OutboxKind = 'plan_steps' | 'attempts' | 'audit'

export interface OutboxPosition {
  readonly incarnation: number
  /** xid8 as decimal text. */
  readonly xid: string
  readonly id: string
}

export interface OutboxRow {
  readonly position: OutboxPosition
  readonly id: string
  /** Event id, or the handler for plan steps: the record's key. */
  readonly key: string
  /** The record's value, JSON, ready for the log. */
  readonly value: string
}

export interface OutboxStore {
  /** Rows behind the noted position and below every running transaction, in (incarnation, xid, id) order. */
  readOutbox(kind: OutboxKind, limit: number): Promise<{ from: OutboxPosition; rows: readonly OutboxRow[] }>
  /** Compare-and-swap of the noted position; false when another relay moved it. */
  advanceOutbox(kind: OutboxKind, from: OutboxPosition, to: OutboxPosition): Promise<boolean>
  outboxLag(kind: OutboxKind): Promise<bigint>
}

// ── identity, maintenance ───────────────────────────────────────────────────────────────────────────────────────

export interface StoreIdentity {
  readonly storeId: string
  readonly incarnation: number
  readonly state: 'ok' | 'recovering'
  readonly archiveId: string | null
}

export interface RememberedHeartbeat {
  readonly n: bigint
  /** SHA-256 of its note, lower-case hex. */
  readonly sha256: string
}

export interface MaintenanceStore {
  /** Reads the identity; on first use writes the digest key's fingerprint, later refuses another. @throws STORE_DIGEST_KEY_MISMATCH */
  identify(digestKeyFingerprint: string): Promise<StoreIdentity>
  /** Remembers the archive id once; @throws STORE_ARCHIVE_MISMATCH when another one is remembered. */
  rememberArchive(archiveId: string): Promise<void>
  /** The newest heartbeat of the archive that anybody remembered. */
  rememberedHeartbeat(): Promise<RememberedHeartbeat | null>
  /** Moves forward only: an older one changes nothing. */
  rememberHeartbeat(heartbeat: RememberedHeartbeat): Promise<void>
  /**
   * Makes slices ahead and drops old ones that are relayed, under an advisory lock; attempts stay while a job of theirs
   * is open or dead. Forgets keys that were seen first more than `firstSeenMs` ago; null: none now, somebody who is
   * behind may still ask for them. Returns names of slices dropped.
   */
  maintainSlices(retention: {
    doneHours: number
    deadHours: number
    firstSeenMs: number | null
  }): Promise<readonly string[]>
}

export interface JobStore
  extends
    PlanStore,
    DeliveryStore,
    PumpStore,
    BreakerStore,
    OutboxStore,
    LeaseStore,
    ServingStore,
    MaintenanceStore,
    RecoveryStore,
    ReplayDeliveryStore,
    ReplayStore,
    HoldStore,
    RunningRootStore,
    PlanRecoveryStore,
    OperatorStore {
  /** Resolves when the store answers; rejects with STORE_UNAVAILABLE. */
  ping(): Promise<void>
}
