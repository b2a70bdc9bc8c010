/**
 * The newest heartbeat of an archive that another process writes. Keys are functions of the number alone and have no
 * holes, so that the end is found by doubling and halving, and from then on by looking at the next one.
 */
import { parseHeartbeat } from '../core/archive/documents.ts'
import { heartbeatKey } from '../core/archive/keys.ts'
import { NOTE_BYTES_MAX, readNoteUnverified } from '../core/archive/signed-note.ts'
import { firstAbsent } from '../core/archive/tree/heartbeat-search.ts'
import { wormResult } from '../core/archive/worm.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'

export interface FoundHeartbeat {
  readonly n: string
  readonly archiveId: string
  readonly createdAt: string
  readonly worm: string
}

export class NewestHeartbeat {
  #n = -1n
  #found: FoundHeartbeat | null = null

  /** Null while there is none. @throws ARCHIVE_STORE_UNAVAILABLE, ARCHIVE_NOTE_INVALID, ARCHIVE_DOCUMENT_INVALID */
  async read(store: ArchiveStore): Promise<FoundHeartbeat | null> {
    const n = await this.#newestNumber(store)
    if (n === this.#n) return this.#found
    const bytes = await store.read(heartbeatKey(n), NOTE_BYTES_MAX)
    if (bytes === null) return this.#found
    const { archive_id, created_at, worm } = parseHeartbeat(readNoteUnverified(bytes))
    this.#n = n
    this.#found = { n: String(n), archiveId: archive_id, createdAt: created_at, worm: wormResult(worm) }
    return this.#found
  }

  async #newestNumber(store: ArchiveStore): Promise<bigint> {
    const behind = await firstAbsent(async (n) => (await store.head(heartbeatKey(this.#n + 1n + n))) !== null)
    return this.#n + behind
  }
}
