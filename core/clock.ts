/**
 * The one source of time. Wall time is for people and records, monotonic time for every decision about
 * elapsed time: the wall clock may jump. Nothing outside adapters/system reads a clock of its own.
 */
export interface Clock {
  /** Milliseconds since the Unix epoch, UTC. */
  now(): number
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonic(): number
  /** Resolves after `ms`; resolves early, without an error, when `signal` aborts. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}
