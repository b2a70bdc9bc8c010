/**
 * The store as verification sees it: what is no plain file (a symlink, a fifo, a folder in an object's place: only a
 * directory can hold such things) and what was deleted behind a marker (only a bucket can) is a finding and counts as
 * absent. The store neither follows nor opens it.
 */
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import type { ObjectHead, ReadableArchive } from '../../ports/archive-store.ts'
import type { Findings } from './finding.ts'

export class PlainFiles implements ReadableArchive {
  readonly location: string
  readonly #inner: ReadableArchive
  readonly #findings: Findings

  constructor(inner: ReadableArchive, findings: Findings) {
    this.#inner = inner
    this.#findings = findings
    this.location = inner.location
  }

  read(key: string, bytesMax: number): Promise<Buffer | null> {
    return this.#orAbsent(key, this.#inner.read(key, bytesMax))
  }

  open(key: string): Promise<AsyncIterable<Uint8Array> | null> {
    return this.#orAbsent(key, this.#inner.open(key))
  }

  async *list(prefix: string): AsyncGenerator<ObjectHead> {
    for await (const head of this.#inner.list(prefix)) {
      if (head.notFile === undefined) yield head
      else this.#report(head.key, head.notFile)
    }
  }

  async #orAbsent<T>(key: string, reading: Promise<T | null>): Promise<T | null> {
    try {
      return await reading
    } catch (error) {
      if (isHooktrailError(error, 'ARCHIVE_OBJECT_NOT_FILE'))
        this.#report(key, String(error.details['found']))
      else if (isHooktrailError(error, 'ARCHIVE_DELETE_MARKER'))
        this.#findings.altered('delete-marker', key, 'it was deleted: a delete marker lies over it')
      else if (isHooktrailError(error, 'ARCHIVE_OBJECT_TOO_LARGE'))
        this.#findings.altered('note-invalid', key, 'it is larger than any note')
      else throw error
      return null
    }
  }

  #report(key: string, found: string): void {
    this.#findings.altered('not-a-file', key, `a ${found} lies here, where only plain files belong`)
  }
}
