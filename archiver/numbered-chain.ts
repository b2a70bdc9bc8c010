/**
 * A chain of signed notes 0, 1, 2 … under one folder, as this process has read it. The create of the next number is the
 * only sequencing commit: of two writers one wins, and the other reads the winner's before it tries again.
 */
import type { ArchiveDocument } from '../core/archive/documents.ts'
import { numberedKey, type NumberedNotes } from '../core/archive/keys.ts'
import { FORMAT_VERSION } from '../core/archive/manifest.ts'
import type { NumberedNote } from '../core/archive/worm.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { isoTime, type ArchiverContext } from './archiver-context.ts'
import { createNote, readNote } from './notes.ts'

/** What every such note says of its place. */
type Place = Pick<
  Extract<ArchiveDocument, { kind: 'policy' }>,
  'format_version' | 'archive_id' | 'n' | 'created_at' | 'previous' | 'writer'
>

export interface NumberedChainOptions<T> {
  readonly notes: NumberedNotes
  readonly parse: (line: string) => T
  readonly genesisSha256: string
  /** Called once with every note, in order. */
  readonly onNote: (document: T) => void
}

export class NumberedChain<T extends ArchiveDocument & Place> {
  readonly #context: ArchiverContext
  readonly #options: NumberedChainOptions<T>
  #newest: NumberedNote | null = null
  #newestDocument: T | null = null
  /** Several loops ask; one reads. */
  #catchingUp: Promise<void> | null = null

  constructor(context: ArchiverContext, options: NumberedChainOptions<T>) {
    this.#context = context
    this.#options = options
  }

  /** Null while there is none. */
  get newest(): NumberedNote | null {
    return this.#newest
  }

  get newestDocument(): T | null {
    return this.#newestDocument
  }

  /** Reads what others wrote. @throws ARCHIVE_CHAIN_BROKEN, ARCHIVE_NOTE_INVALID */
  catchUp(): Promise<void> {
    this.#catchingUp ??= this.#readBehind().finally(() => {
      this.#catchingUp = null
    })
    return this.#catchingUp
  }

  async #readBehind(): Promise<void> {
    const { notes, parse, onNote } = this.#options
    for (;;) {
      const { n, previous } = this.#place()
      const key = numberedKey(notes, BigInt(n))
      const stored = await readNote(this.#context, key)
      if (stored === null) return
      const document = parse(stored.text)
      if (
        document.archive_id !== this.#context.archiveId ||
        document.n !== n ||
        document.previous !== previous
      )
        throw new HooktrailError('ARCHIVE_CHAIN_BROKEN', { key, reason: 'it does not follow the one before' })
      this.#newest = { n, sha256: stored.sha256 }
      this.#newestDocument = document
      onNote(document)
    }
  }

  /** Writes the next note unless another writer was first. @returns false when one was: then it has been read. */
  async append(make: (place: Place) => T): Promise<boolean> {
    const place = this.#place()
    const key = numberedKey(this.#options.notes, BigInt(place.n))
    const { outcome } = await createNote(this.#context, key, make(place))
    await this.catchUp()
    return outcome === 'created'
  }

  #place(): Place {
    const { archiveId, clock, instance } = this.#context
    return {
      format_version: FORMAT_VERSION,
      archive_id: archiveId,
      n: this.#newest === null ? '0' : String(BigInt(this.#newest.n) + 1n),
      created_at: isoTime(clock.now()),
      previous: this.#newest?.sha256 ?? this.#options.genesisSha256,
      writer: instance,
    }
  }
}
