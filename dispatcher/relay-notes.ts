/**
 * Notes in the store up to where the log tells only of what is in it: behind what this relay appended, as long as nobody
 * appended in between. Where somebody did, the store is doubted, and whoever hears the log notes what he found
 * (store-witness.ts). A note that is lost costs a longer look at the next start.
 */
import type { LogPosition, TopicId } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import type { NotedOffset } from '../core/ports/recovery-store.ts'

const NOTE_MS = 5_000

export interface RelayNotesOptions {
  readonly store: Pick<JobStore, 'notedOffsets' | 'noteOffsets'>
  readonly doubt: () => void
}

export class RelayNotes {
  readonly #options: RelayNotesOptions
  #noted: Map<string, NotedOffset> | null = null
  /** Whose rows were told since it was read; what is behind them may be known elsewhere, and is not noted there. */
  #server: string | null = null
  #isChanged = false
  #isBroken = false

  constructor(options: RelayNotesOptions) {
    this.#options = options
  }

  /** @param server whose rows they are */
  async appended(
    topicId: TopicId,
    positions: readonly LogPosition[],
    server: string | null = null,
  ): Promise<void> {
    if (this.#noted === null || this.#server !== server) {
      this.#server = server
      this.#noted = await this.#read()
    }
    for (const { partition, offset } of positions) {
      const key = nameOf({ topicId, partition })
      const next = this.#noted.get(key)?.next ?? 0n
      if (offset < next) continue
      if (offset > next) this.#isBroken = true
      else this.#noted.set(key, { topicId, partition, next: offset + 1n })
    }
    this.#isChanged = true
  }

  /** Resolves with the milliseconds until the next. */
  async step(): Promise<number> {
    if (this.#isChanged && this.#noted !== null) {
      this.#isChanged = false
      await this.#options.store.noteOffsets([...this.#noted.values()], this.#server)
    }
    if (this.#isBroken) {
      this.#isBroken = false
      this.#noted = null
      this.#options.doubt()
    }
    return NOTE_MS
  }

  async #read(): Promise<Map<string, NotedOffset>> {
    return new Map((await this.#options.store.notedOffsets()).map((each) => [nameOf(each), each]))
  }
}

function nameOf({ topicId, partition }: Pick<NotedOffset, 'topicId' | 'partition'>): string {
  return `${topicId}/${partition}`
}
