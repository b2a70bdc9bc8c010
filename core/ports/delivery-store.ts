/** Port: takes of jobs and what attempts led to, a group of the job store. Its duties: job-store.ts. */
import type { AttemptTimings } from './attempt-timings.ts'
import type { ProbeRequest } from './breaker-store.ts'
import type { TopicId } from './event-log.ts'

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
