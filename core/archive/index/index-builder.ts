/**
 * Makes the runs of an index that are missing, from the archive alone. Each object has one content and is created once, so
 * that two builders meet and a crash leaves only less. A run goes behind its shards: where it lies all of it lies.
 */
import { hash } from 'node:crypto'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import type { ArchiveStore } from '../../ports/archive-store.ts'
import { readRows } from '../data-rows.ts'
import { parseManifest } from '../documents.ts'
import type { ArchiveSource } from '../range/find-segment.ts'
import { decodeRow } from '../row.ts'
import { NOTE_BYTES_MAX, openNote } from '../signed-note.ts'
import { firstAbsent, heartbeatCount, heartbeatReader, namedManifests } from '../tree/heartbeat-search.ts'
import {
  decodeRun,
  encodeRun,
  LEVEL_MAX,
  RUN_BYTES_MAX,
  RUN_FACTOR,
  runKey,
  runSize,
  shardKey,
  shardOf,
  termOf,
  TERMS_PER_SHARD_MAX,
  type IndexEntry,
  type RunPlace,
} from './index-run.ts'

/** Sixteen runs of the largest level held at once would be too much: what is larger is left in parts. */
const TERMS_HELD_MAX = 4_000_000

export interface IndexRequest {
  readonly source: ArchiveSource
  readonly archiveId: string
  readonly index: Pick<ArchiveStore, 'create' | 'read' | 'head'>
  readonly signal: AbortSignal
}

/** @returns how many manifests were added */
export async function buildIndex(request: IndexRequest): Promise<number> {
  const { source, index, signal } = request
  const read = heartbeatReader(source)
  const end = await heartbeatCount(source)
  let place = {
    level: 0,
    index: await firstAbsent(async (at) => (await index.head(runKey({ level: 0, index: at }))) !== null),
  }
  let entries: IndexEntry[] = []
  let added = 0
  for await (const named of namedManifests(read, { from: place.index * runSize(0), end })) {
    signal.throwIfAborted()
    entries.push({ manifest: named.key, terms: await termsOf(request, named.key) })
    if (BigInt(entries.length) < RUN_FACTOR) continue
    await writeRun(request, place, entries)
    added += entries.length
    entries = []
    place = { level: 0, index: place.index + 1n }
  }
  return added
}

/** The run above first, where this one completes it: the lowest level says how far the index reaches. */
async function writeRun(
  request: IndexRequest,
  place: RunPlace,
  entries: readonly IndexEntry[],
): Promise<void> {
  if (place.level < LEVEL_MAX && (place.index + 1n) % RUN_FACTOR === 0n) {
    const above = { level: place.level + 1, index: place.index / RUN_FACTOR }
    const all = await entriesBelow(request, above, entries)
    if (all !== null) await writeRun(request, above, all)
  }
  const count = entries.reduce((sum, { terms }) => sum + terms.length, 0)
  let digits = 0
  while (count / 16 ** digits > TERMS_PER_SHARD_MAX) digits += 1
  const head = { kind: 'index' as const, archive_id: request.archiveId, digits }
  for (let shard = 0; digits > 0 && shard < 16 ** digits; shard++) {
    const name = shard.toString(16).padStart(digits, '0')
    await create(request, shardKey(place, name), encodeRun({ ...head, entries: [...shardOf(entries, name)] }))
  }
  await create(request, runKey(place), encodeRun({ ...head, entries: digits > 0 ? [] : [...entries] }))
}

/** Null where they are too many to be held, or some are missing: then the runs below stay what is asked. */
async function entriesBelow(
  { index }: IndexRequest,
  { level, index: at }: RunPlace,
  last: readonly IndexEntry[],
): Promise<readonly IndexEntry[] | null> {
  const all: IndexEntry[] = []
  let count = last.reduce((sum, { terms }) => sum + terms.length, 0)
  for (let below = at * RUN_FACTOR; below < (at + 1n) * RUN_FACTOR - 1n; below++) {
    const key = runKey({ level: level - 1, index: below })
    const bytes = await index.read(key, RUN_BYTES_MAX)
    if (bytes === null) return null
    const { digits, entries } = decodeRun(bytes, key)
    if (digits > 0) return null
    count += entries.reduce((sum, { terms }) => sum + terms.length, 0)
    if (count > TERMS_HELD_MAX) return null
    all.push(...entries)
  }
  return [...all, ...last]
}

async function termsOf({ source, signal }: IndexRequest, key: string): Promise<string[]> {
  const { store, keys } = source
  const note = await store.read(key, NOTE_BYTES_MAX)
  if (note === null) throw new HooktrailError('ARCHIVE_SEGMENT_ALTERED', { key, reason: 'it is missing' })
  const { data } = parseManifest(openNote(note, keys).text)
  const bytes = data === null ? null : await store.open(data.key)
  const terms = new Set<string>()
  if (data === null || bytes === null) return []
  const onLine = (line: string): void => {
    for (const { name, value } of decodeRow(line).record.headers) {
      if (name === 'ce_id' && value !== null) terms.add(termOf('event_id', value.toString()))
      if (name === 'ht_dedup' && value !== null) terms.add(termOf('unique_key', value.toString()))
    }
  }
  await readRows({ bytes, format: data.format, onLine, signal })
  return [...terms]
}

async function create({ index }: IndexRequest, key: string, body: Buffer): Promise<void> {
  const sha256 = hash('sha256', body, 'buffer')
  await index.create({ key, body, sha256, contentType: 'application/gzip' })
}
