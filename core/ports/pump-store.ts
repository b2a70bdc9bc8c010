/**
 * Part of the job store's port: due jobs that no hint announces. Only a queue that keeps its hints outside the store
 * needs it (dispatcher/pump.ts); with the store as its own queue nothing here is called and nothing is written.
 */
export interface JobHint {
  readonly jobId: string
  /** The attempt that the take will make: hint id = job id + attempt. */
  readonly attempt: number
}

/** How long a hint may be under way before its job counts as forgotten by the queue. */
export const QUEUED_MS = 60_000

export interface PumpRequest {
  /** Handlers to look at, and how many hints of each may be under way at once. */
  readonly windows: readonly { readonly handler: string; readonly hintsMax: number }[]
  readonly queuedMs: number
}

export interface PumpedHints {
  /** In (partition, offset) order. */
  readonly hints: readonly (JobHint & { readonly handler: string })[]
  /** Whether any job was due that no hint announced, those in `hints` included. */
  readonly isDue: boolean
  /** Milliseconds until the next job is due, null when none waits. */
  readonly nextDueMs: number | null
}

export interface PumpStore {
  /**
   * Marks due jobs of active handlers, their breaker closed, as queued for `queuedMs`, oldest first, up to what their windows leave free;
   * rows that somebody else has locked are passed over. Need not be durable: a lost mark means a second hint.
   */
  pumpDue(request: PumpRequest): Promise<PumpedHints>
  /** Forgets all marks: the queue has lost its hints. Returns how many there were. */
  resetQueued(): Promise<number>
}
