/**
 * Finds an event by its id or dedup key: the largest runs of the index first, then what no run covers yet, in the archive
 * itself. Some hundred requests of an archive of any size. A hit is the row in the archive, never the index's word.
 */
import type { ArchiveStore } from '../../ports/archive-store.ts'
import { readRows } from '../data-rows.ts'
import { parseManifest } from '../documents.ts'
import type { ArchiveSource } from '../range/find-segment.ts'
import { decodeRow, type DecodedRow } from '../row.ts'
import { NOTE_BYTES_MAX, openNote } from '../signed-note.ts'
import { heartbeatCount, heartbeatReader, namedManifests } from '../tree/heartbeat-search.ts'
import {
  decodeRun,
  LEVEL_MAX,
  RUN_BYTES_MAX,
  runKey,
  runSize,
  shardKey,
  termOf,
  type IndexRun,
  type RunPlace,
  type TermKind,
} from './index-run.ts'

/** Manifests behind the index that are looked into one by one. */
const UNINDEXED_MAX = 64

export interface FindRequest {
  readonly source: ArchiveSource
  readonly index: Pick<ArchiveStore, 'read'>
  readonly kind: TermKind
  readonly value: string
  readonly signal: AbortSignal
}

export interface FoundEvents {
  readonly rows: readonly DecodedRow[]
  /** Manifests that were neither in the index nor looked into. */
  readonly skipped: number
}

/** @throws ARCHIVE_INDEX_INVALID, and what reading the archive throws */
export async function findEvent(request: FindRequest): Promise<FoundEvents> {
  const { source } = request
  const read = heartbeatReader(source)
  const end = await heartbeatCount(source)
  const newest = end === 0n ? null : await read(end - 1n)
  const size = BigInt(newest?.tree_size ?? 0)
  const hits = new Set<string>()
  const covered = await searchRuns(request, size, hits)
  let [looked, skipped] = [0, 0]
  for await (const { key } of namedManifests(read, { from: covered, end })) {
    if (looked < UNINDEXED_MAX) hits.add(key)
    else skipped += 1
    looked += 1
  }
  const rows: DecodedRow[] = []
  for (const key of hits) rows.push(...(await rowsOf(request, key)))
  return { rows, skipped }
}

/** From the left, the largest run that fits and is there. @returns how many manifests runs cover */
async function searchRuns(request: FindRequest, size: bigint, hits: Set<string>): Promise<bigint> {
  let at = 0n
  for (;;) {
    const place = await largestRun(request, at, size)
    if (place === null) return at
    for (const key of await manifestsIn(request, place)) hits.add(key)
    at += runSize(place.level)
  }
}

interface ReadRun extends RunPlace {
  readonly run: IndexRun
}

async function largestRun({ index }: FindRequest, at: bigint, size: bigint): Promise<ReadRun | null> {
  for (let level = LEVEL_MAX; level >= 0; level--) {
    const width = runSize(level)
    if (at % width !== 0n || at + width > size) continue
    const place = { level, index: at / width }
    const bytes = await index.read(runKey(place), RUN_BYTES_MAX)
    if (bytes !== null) return { ...place, run: decodeRun(bytes, runKey(place)) }
  }
  return null
}

async function manifestsIn({ index, kind, value }: FindRequest, place: ReadRun): Promise<readonly string[]> {
  const term = termOf(kind, value)
  let { entries } = place.run
  if (place.run.digits > 0) {
    const key = shardKey(place, term.slice(0, place.run.digits))
    const bytes = await index.read(key, RUN_BYTES_MAX)
    entries = bytes === null ? [] : decodeRun(bytes, key).entries
  }
  return entries.filter(({ terms }) => terms.includes(term)).map(({ manifest }) => manifest)
}

async function rowsOf(
  { source, kind, value, signal }: FindRequest,
  key: string,
): Promise<readonly DecodedRow[]> {
  const { store, keys } = source
  const note = await store.read(key, NOTE_BYTES_MAX)
  const data = note === null ? null : parseManifest(openNote(note, keys).text).data
  const bytes = data === null ? null : await store.open(data.key)
  if (data === null || bytes === null) return []
  const header = kind === 'event_id' ? 'ce_id' : 'ht_dedup'
  const rows: DecodedRow[] = []
  const onLine = (line: string): void => {
    const row = decodeRow(line)
    if (row.record.headers.find(({ name }) => name === header)?.value?.toString() === value) rows.push(row)
  }
  await readRows({ bytes, format: data.format, onLine, signal })
  return rows
}
