/**
 * Port: hints that a job is due now. Truth of nothing (I5): whatever it forgets or repeats, the job store's take
 * decides. Adapters: adapters/postgres (the job store itself), adapters/bullmq.
 */
import type { TakenJob } from './job-store.ts'

export interface JobHint {
  readonly jobId: string
  /** The attempt that the take will make: hint id = job id + attempt. */
  readonly attempt: number
}

export interface JobQueue {
  readonly driver: 'postgres' | 'redis'

  /** Announces due jobs. May lose or repeat them. Rejects fast when the queue is down: the pump repeats it later. */
  offer(handler: string, hints: readonly JobHint[]): Promise<void>

  /**
   * Takes at most `slots` jobs of one handler through the job store (the row is the intent, I4). Waits until a job is
   * due, `signal` aborts (resolves []), or an adapter's own bound passes (resolves []); waits for ever on a dead queue.
   */
  take(request: TakeRequest): Promise<readonly TakenJob[]>
}

export interface TakeRequest {
  readonly handler: string
  readonly slots: number
  readonly leaseMs: number
  readonly generation: string
  readonly signal: AbortSignal
}
