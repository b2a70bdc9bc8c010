/** Wakes readers that wait for a partition of the log (wakeup.ts says how). */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { PartitionKey } from './log-append.ts'
import type { Database } from './pool.ts'
import { Wakeup } from './wakeup.ts'

export class LogWakeup {
  readonly #wakeup: Wakeup

  constructor(options: { readonly database: Database; readonly clock: Clock; readonly logger: Logger }) {
    this.#wakeup = new Wakeup({ ...options, kind: 'log' })
  }

  /** Calls `wake` whenever the partition grew, until the returned function is called. */
  subscribe(key: PartitionKey, wake: () => void): () => void {
    return this.#wakeup.subscribe(nameOf(key), wake)
  }

  appended(keys: readonly PartitionKey[]): void {
    this.#wakeup.announce(keys.map(nameOf))
  }

  stop(): Promise<void> {
    return this.#wakeup.stop()
  }
}

function nameOf({ topicNo, partition }: PartitionKey): string {
  return `${topicNo}/${partition}`
}
