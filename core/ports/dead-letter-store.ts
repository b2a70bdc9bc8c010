/**
 * Part of the job store's port: dead jobs, counted by what they have in common, made available again or discarded by an
 * operator. What happens to a job commits together with its audit row or not at all (I9).
 */
export interface AuditEntry {
  readonly actor: string
  readonly action: string
  readonly target: string
  readonly reason: string | null
  readonly details: Record<string, unknown>
}

/** Null: any. */
export interface DeadFilter {
  readonly handler: string | null
  readonly source: string | null
  readonly eventType: string | null
  /** Class of the last error. */
  readonly error: string | null
  /** Of the time at which it died. */
  readonly sinceMs: number | null
  readonly untilMs: number | null
}

export const DEAD_GROUPS = ['handler', 'source', 'event_type', 'error'] as const
export type DeadGroupBy = (typeof DEAD_GROUPS)[number]

export interface DeadGroup {
  /** Null where the groups are not by this, or the jobs have none. */
  readonly handler: string | null
  readonly source: string | null
  readonly eventType: string | null
  readonly error: string | null
  readonly jobs: number
  readonly firstDiedAtMs: number
  readonly lastDiedAtMs: number
}

export type DeadAction =
  /** Attempt numbers go on, the budget of the job's handler comes on top of what was allowed or, past that, made. One is due every `everyMs`. */
  | { readonly kind: 'retry'; readonly budgets: ReadonlyMap<string, number>; readonly everyMs: number }
  /** It is never delivered. */
  | { readonly kind: 'discard' }

export interface DeadRequest {
  /** Id of the last job of the batch before, and how many there were before. */
  readonly after: string | null
  readonly before: number
  readonly limit: number
  readonly action: DeadAction
  /** Its target is each job's id. */
  readonly audit: Omit<AuditEntry, 'target'>
}

/** What a handler's job gets that `budgets` does not name. */
export const DEFAULT_BUDGET = 1

export interface DeadLetterStore {
  /** 'not-dead' leaves everything as it is. */
  settleDeadJob(
    jobId: string,
    action: DeadAction,
    audit: AuditEntry,
  ): Promise<'settled' | 'not-dead' | 'not-found'>
  /**
   * The same for the next dead jobs that fit, by job id from behind `after`, at most `limit` in this one transaction;
   * an audit row each. Null when there are none left.
   */
  settleDeadJobs(
    filter: DeadFilter,
    request: DeadRequest,
  ): Promise<{ readonly settled: number; readonly last: string } | null>
  /** Largest first, at most 1 000. */
  groupDeadJobs(filter: DeadFilter, by: readonly DeadGroupBy[]): Promise<readonly DeadGroup[]>
}
