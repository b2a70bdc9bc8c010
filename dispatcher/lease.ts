/**
 * A lease row that says who is trying. For liveness only: it keeps two processes from doing the same work for
 * nothing; that the work happens once is the compare-and-swap's affair (I8).
 */
import type { Clock } from '../core/clock.ts'
import type { LeaseStore } from '../core/ports/lease-store.ts'

export const LEASE_TTL_MS = 10_000
/** How soon somebody asks again who did not get it. */
export const LEASE_RETRY_MS = 1_000
const RENEW_AFTER_MS = LEASE_TTL_MS / 3

export interface LeaseOptions {
  readonly store: LeaseStore
  readonly clock: Clock
  readonly name: string
  readonly owner: string
}

export class Lease {
  readonly #options: LeaseOptions
  #heldSince: number | null = null

  constructor(options: LeaseOptions) {
    this.#options = options
  }

  /** Takes or renews it where that is due; false when somebody else holds it. */
  async hold(): Promise<boolean> {
    const { store, clock, name, owner } = this.#options
    const now = clock.monotonic()
    if (this.#heldSince !== null && now - this.#heldSince < RENEW_AFTER_MS) return true
    const held = await store.acquireLease(name, owner, LEASE_TTL_MS)
    this.#heldSince = held ? now : null
    return held
  }

  async release(): Promise<void> {
    if (this.#heldSince === null) return
    this.#heldSince = null
    await this.#options.store.releaseLease(this.#options.name, this.#options.owner)
  }
}
