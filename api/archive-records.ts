/**
 * Records that the log has forgotten, read from the archive's segments. Whoever asks goes from new to old: a scan keeps
 * the last rows before the one that is wanted, within a bound of bytes, so that a segment is scanned a few times and
 * never held whole. Digests are not checked here: that is `archive verify`.
 */
import { readRows } from '../core/archive/data-rows.ts'
import { parseManifest } from '../core/archive/documents.ts'
import { segmentPrefix } from '../core/archive/keys.ts'
import { decodeRow } from '../core/archive/row.ts'
import { readNoteUnverified } from '../core/archive/signed-note.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import type { LogRecord, TopicPartition } from '../core/ports/event-log.ts'

const MANIFEST_BYTES_MAX = 16 * 1024 * 1024
const WINDOW_BYTES_MAX = 16 * 1024 * 1024
/** Of partitions: more than an export touches at a time. */
const WINDOWS_MAX = 4
const OFFSET = /\/(\d{20})\.note$/

type Window = ReadonlyMap<bigint, LogRecord>

export class ArchiveRecords {
  readonly #store: ArchiveStore
  readonly #starts = new Map<string, readonly bigint[]>()
  readonly #windows = new Map<string, Window>()

  constructor(store: ArchiveStore) {
    this.#store = store
  }

  /** Those that the archive holds. @throws ARCHIVE_STORE_UNAVAILABLE, ARCHIVE_ROW_INVALID */
  async read(at: TopicPartition, offsets: readonly bigint[]): Promise<Window> {
    const found = new Map<bigint, LogRecord>()
    for (const offset of [...offsets].sort((a, b) => (a < b ? 1 : -1))) {
      const prefix = segmentPrefix(at.topic, at.topicId, at.partition)
      const record = this.#windows.get(prefix)?.get(offset) ?? (await this.#scan(prefix, offset))
      if (record !== null) found.set(offset, record)
    }
    return found
  }

  async #scan(prefix: string, offset: bigint): Promise<LogRecord | null> {
    const start = (await this.#startsOf(prefix)).findLast((first) => first <= offset)
    if (start === undefined) return null
    const note = await this.#store.read(
      `${prefix}${String(start).padStart(20, '0')}.note`,
      MANIFEST_BYTES_MAX,
    )
    const manifest = note === null ? null : parseManifest(readNoteUnverified(note))
    if (manifest === null || manifest.data === null || BigInt(manifest.last) < offset) return null
    const bytes = await this.#store.open(manifest.data.key)
    if (bytes === null) return null
    const window = await rowsUpTo({ bytes, format: manifest.data.format, offset })
    this.#windows.delete(prefix)
    this.#windows.set(prefix, window)
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= WINDOWS_MAX) break
      this.#windows.delete(oldest)
    }
    return window.get(offset) ?? null
  }

  async #startsOf(prefix: string): Promise<readonly bigint[]> {
    const known = this.#starts.get(prefix)
    if (known !== undefined) return known
    const starts: bigint[] = []
    for await (const { key } of this.#store.list(prefix)) {
      const [, start] = OFFSET.exec(key) ?? []
      if (start !== undefined) starts.push(BigInt(start))
    }
    this.#starts.set(prefix, starts)
    return starts
  }
}

interface Scan extends Pick<Parameters<typeof readRows>[0], 'bytes' | 'format'> {
  readonly offset: bigint
}

async function rowsUpTo({ bytes, format, offset }: Scan): Promise<Window> {
  const rows = new Map<bigint, LogRecord>()
  const sizes: { readonly offset: bigint; readonly size: number }[] = []
  let held = 0
  const passed = new AbortController()
  const onLine = (line: string): void => {
    const { record } = decodeRow(line)
    if (record.offset > offset) {
      passed.abort()
      return
    }
    rows.set(record.offset, record)
    sizes.push({ offset: record.offset, size: line.length })
    held += line.length
    while (held > WINDOW_BYTES_MAX && sizes.length > 1) {
      const oldest = sizes.shift()
      if (oldest === undefined) return
      rows.delete(oldest.offset)
      held -= oldest.size
    }
  }
  await readRows({ bytes, format, onLine, signal: passed.signal }).catch((error: unknown) => {
    if (!passed.signal.aborted) throw error
  })
  return rows
}
