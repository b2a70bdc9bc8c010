/**
 * What a job is, in the simplest words that are true: a state, attempts, a budget, a lease. The property test does to this
 * what it does to the job store, and compares. Refuses transitions that no job makes.
 */
import assert from 'node:assert/strict'
import type { NextState } from '../../core/ports/delivery-store.ts'

export type ModelState = 'available' | 'running' | 'retryable' | 'completed' | 'dead' | 'discarded'

const NEXT: Readonly<Record<ModelState, readonly ModelState[]>> = {
  available: ['running'],
  running: ['available', 'retryable', 'completed', 'dead'],
  retryable: ['running'],
  completed: [],
  dead: ['available', 'discarded'],
  discarded: [],
}

export class ModelJob {
  readonly id: string
  state: ModelState
  attempt = 0
  maxAttempts: number
  lease: string | null = null
  isDue = true
  /** A blocked address keeps it open past its budget. */
  isBlocked = false
  /** `attempt class late` of each, in no order. */
  readonly attempts: string[] = []
  readonly #leases = new Set<string>()

  constructor(id: string, maxAttempts: number, state: 'available' | 'dead') {
    this.id = id
    this.maxAttempts = maxAttempts
    this.state = state
  }

  get isOpen(): boolean {
    return this.state === 'available' || this.state === 'running' || this.state === 'retryable'
  }

  get isTakable(): boolean {
    return this.isDue && (this.state === 'available' || this.state === 'retryable')
  }

  take(lease: string): void {
    assert.ok(this.isTakable, `${this.id} is taken while it is ${this.state}`)
    this.#become('running')
    this.attempt += 1
    this.lease = lease
  }

  giveBack(lease: string): void {
    if (this.lease !== lease) return
    this.#become(this.attempt > 1 ? 'retryable' : 'available')
    this.attempt -= 1
    this.lease = null
  }

  /** Whether the outcome moved the job. */
  end(lease: string, taken: { attempt: number; errorClass: string | null; next: NextState }): boolean {
    const { attempt, errorClass, next } = taken
    const moves = this.lease === lease
    if (!this.#leases.has(lease)) this.attempts.push(`${attempt} ${errorClass ?? '-'} ${String(!moves)}`)
    this.#leases.add(lease)
    if (!moves) return false
    this.#become(next.state)
    this.lease = null
    this.isDue = false
    this.isBlocked = errorClass === 'blocked'
    return true
  }

  reap(): void {
    this.attempts.push(`${this.attempt} unknown false`)
    this.#become(this.attempt >= this.maxAttempts ? 'dead' : 'retryable')
    this.lease = null
    this.isDue = true
  }

  retry(budget: number): void {
    this.#become('available')
    // A blocked address may have led it past its budget.
    this.maxAttempts = Math.max(this.attempt, this.maxAttempts) + budget
    this.isDue = true
  }

  discard(): void {
    this.#become('discarded')
  }

  #become(state: ModelState): void {
    assert.ok(NEXT[this.state].includes(state), `${this.id} goes from ${this.state} to ${state}`)
    this.state = state
  }
}
