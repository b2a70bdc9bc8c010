/**
 * Tells of sources that send other bytes under a key that is known, at most once a minute with how many there were: a
 * dedup key that does not name an event shows here, and a sender that changes what it sends again.
 */
import type { Clock } from '../core/clock.ts'
import type { SourceConfig } from '../core/config/config.ts'
import type { Logger } from '../core/log.ts'

const SAID_AGAIN_MS = 60_000

export interface KeyConflictsOptions {
  readonly source: Pick<SourceConfig, 'name' | 'dedup'>
  readonly clock: Clock
  readonly logger: Logger
}

export class KeyConflicts {
  readonly #options: KeyConflictsOptions
  #unsaid = 0
  #silentUntil = -Infinity

  constructor(options: KeyConflictsOptions) {
    this.#options = options
  }

  /** Of one step of the index. */
  note(conflicts: number): void {
    this.#unsaid += conflicts
    const { source, clock, logger } = this.#options
    const now = clock.monotonic()
    if (this.#unsaid === 0 || now < this.#silentUntil) return
    logger.warn(
      { source: source.name, conflicts: this.#unsaid, on_conflict: source.dedup.onConflict },
      'dedup_conflict: a known key came with other bytes',
    )
    this.#unsaid = 0
    this.#silentUntil = now + SAID_AGAIN_MS
  }
}
