/**
 * Part of the job store's port: dead jobs made available again by an operator. Each retry commits together with its
 * audit row or not at all (I9).
 */
export interface AuditEntry {
  readonly actor: string
  readonly action: string
  readonly target: string
  readonly reason: string | null
  readonly details: Record<string, unknown>
}

/** Dead jobs of a handler by the time at which they died. */
export interface DeadFilter {
  readonly handler: string
  readonly sinceMs: number | null
  readonly untilMs: number | null
}

export interface RetryRequest {
  /** Id of the last job of the batch before. */
  readonly after: string | null
  readonly limit: number
  readonly budget: number
  /** Its target is each job's id. */
  readonly audit: Omit<AuditEntry, 'target'>
}

export interface RetryStore {
  /**
   * A dead job becomes available again, attempt numbers go on, max_attempts grows by `budget`; the audit row commits
   * in the same transaction (I9). 'not-dead' leaves everything as it is.
   */
  retryJob(jobId: string, budget: number, audit: AuditEntry): Promise<'retried' | 'not-dead' | 'not-found'>
  /**
   * The same for the next dead jobs that fit, by job id from behind `after`, at most `limit` in this one transaction;
   * an audit row each. Null when there are none left.
   */
  retryDead(filter: DeadFilter, request: RetryRequest): Promise<{ retried: number; last: string } | null>
  countDead(filter: DeadFilter): Promise<number>
}
