/**
 * One bad record must not stop a partition (lesson 23). After a step failed twice its records are planned one by
 * one; the record that fails alone, twice, while the store answers, is set aside as a filter error. An outage never
 * sets anything aside: operational errors do not count.
 */
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { JobStore } from '../core/ports/job-store.ts'

const FAILURES_MAX = 2

export class PlanQuarantine {
  readonly #store: Pick<JobStore, 'ping'>
  #first: bigint | null = null
  #failures = 0
  /** Records from here on, up to there, are planned alone. */
  #carefulFrom = 0n
  #carefulUntil = 0n
  #isolated: bigint | null = null

  constructor(store: Pick<JobStore, 'ping'>) {
    this.#store = store
  }

  recordsMax(first: bigint, usual: number): number {
    return first >= this.#carefulFrom && first < this.#carefulUntil ? 1 : usual
  }

  /** True when the record at `first` broke its step alone. */
  isolates(first: bigint): boolean {
    return this.#isolated === first
  }

  succeeded(first: bigint): void {
    if (this.#first !== first) return
    this.#first = null
    this.#failures = 0
    this.#isolated = null
  }

  async failed(error: unknown, first: bigint, next: bigint): Promise<void> {
    if (isHooktrailError(error)) return
    await this.#store.ping()
    this.#failures = this.#first === first ? this.#failures + 1 : 1
    this.#first = first
    if (this.#failures < FAILURES_MAX) return
    this.#failures = 0
    if (next === first + 1n) this.#isolated = first
    if (next > this.#carefulUntil) {
      this.#carefulFrom = first
      this.#carefulUntil = next
    }
  }
}
