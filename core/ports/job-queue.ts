/**
 * Port: hints that a job is due now. Truth of nothing (I5): whatever it forgets or repeats, the job store's take
 * decides. Adapters: adapters/postgres (the job store itself), adapters/bullmq (hints in Redis, which need a pump).
 */
import type { TakenJob } from './delivery-store.ts'
import type { JobHint } from './pump-store.ts'

interface HintedTakes {
  /** Announces due jobs. May lose or repeat them. Rejects fast when the queue is down: the pump repeats it later. */
  offer(handler: string, hints: readonly JobHint[]): Promise<void>

  /**
   * Takes at most `slots` jobs of one handler through the job store (the row is the intent, I4). Waits until a job is
   * due, `signal` aborts (resolves []), or an adapter's own bound passes (resolves []); waits for ever on a dead queue.
   */
  take(request: TakeRequest): Promise<readonly TakenJob[]>
}

/** The job store as its own queue: a take finds what is due by itself, hints only end its waiting. */
export interface StoreQueue extends HintedTakes {
  readonly driver: 'postgres'
}

/** Hints outside the job store: a take knows only what was offered, so that somebody has to pump. */
export interface HintQueue extends HintedTakes {
  readonly driver: 'redis'
  /**
   * Whether hints were lost since the last call: the server was emptied or put back to an older copy, or an offer of
   * this process failed. Rejects fast when the server is down.
   * @throws QUEUE_UNAVAILABLE, QUEUE_REFUSED, QUEUE_EVICTS
   */
  lostHints(): Promise<boolean>
}

export type JobQueue = StoreQueue | HintQueue

export interface TakeRequest {
  readonly handler: string
  readonly slots: number
  readonly leaseMs: number
  readonly generation: string
  readonly signal: AbortSignal
}
