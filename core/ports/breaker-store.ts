/**
 * Part of the job store's port: breakers of handlers, and since when a handler has had no success. Every take looks at
 * the breaker, so whoever has not heard of a change yet can send nothing. Changes are compare-and-swap and rare; all
 * times are the database's own.
 */

export type BreakerState = 'closed' | 'open' | 'probing'

export interface Breaker {
  readonly handler: string
  readonly state: BreakerState
  readonly version: bigint
  /** Of the round under way. */
  readonly probes: number
  /** Rounds that failed since it opened. */
  readonly failures: number
  /** Until a round may begin: of an open one the first, of a probing one another's. Not above 0 when it may. */
  readonly waitMs: number
  /** Null while it delivers, or nobody knows better. */
  readonly failingForMs: number | null
}

export interface BreakerOpening {
  readonly handler: string
  readonly reason: string
  readonly pauseMs: number
  readonly details: Readonly<Record<string, unknown>>
}

/** Of a breaker as it was read: another version, and nothing changes. */
export type BreakerChange = Pick<Breaker, 'handler' | 'version'> &
  (
    | { readonly kind: 'begin' | 'widen'; readonly probes: number; readonly roundMs: number }
    | { readonly kind: 'reopen'; readonly pauseMs: number; readonly failures: number }
    | { readonly kind: 'close' }
  )

/** See takeProbes in job-store.ts. */
export interface ProbeRequest {
  readonly handler: string
  /** Of the round, which must still be under way. */
  readonly version: bigint
  readonly slots: number
  readonly leaseMs: number
  readonly generation: string
}

export interface BreakerStore {
  /** Of handlers whose breaker is not closed or that have failed for a while. Cheap: asked each second. */
  breakers(): Promise<readonly Breaker[]>
  /** From closed alone, with its audit row; false when it was not. */
  openBreaker(opening: BreakerOpening): Promise<boolean>
  /**
   * Null when the version is another. `begin` also where no round may begin: the handler is not active, waitMs is not
   * over, or no job is due. `close` writes its audit row and forgets marks of hints, which were dropped meanwhile.
   */
  changeBreaker(change: BreakerChange): Promise<Breaker | null>
  /** Notes who has failed for so long, unless that is noted, and who has delivered. */
  noteFailing(notes: {
    readonly failing: readonly { readonly handler: string; readonly forMs: number }[]
    readonly delivered: readonly string[]
  }): Promise<void>
  /** Disables it, with its audit row, if it is active and has failed for so long; false when nothing changed. */
  disableFailing(request: { handler: string; afterMs: number; reason: string }): Promise<boolean>
}
