/**
 * Sidecar index of an archive: which segment holds an event id or a dedup key. It lies outside the archive, nobody trusts
 * it, and it can be made again at any time: whatever it says is looked up in the archive. A run covers 16^(level+1)
 * manifests in tree order, so an archive of any size has a few dozen of them; a large run is cut into shards by hash.
 */
import { hash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { z } from 'zod'
import { HooktrailError } from '../../error/hooktrail-error.ts'

/** Manifests in a run of the lowest level, and runs in one of the next. */
export const RUN_FACTOR = 16n
/** Sixteen million manifests. */
export const LEVEL_MAX = 5
/** Terms in one object: a few megabytes. */
export const TERMS_PER_SHARD_MAX = 100_000
export const RUN_BYTES_MAX = 64 * 1024 * 1024
const PLAIN_BYTES_MAX = 256 * 1024 * 1024
/** Hex digits of a term: 64 bits, so that a false hit is rare and costs a look into a segment. */
const TERM_DIGITS = 16

export type TermKind = 'event_id' | 'unique_key'

export interface RunPlace {
  readonly level: number
  readonly index: bigint
}

const entry = z.strictObject({ manifest: z.string(), terms: z.array(z.string()) })
const run = z.strictObject({
  kind: z.literal('index'),
  archive_id: z.string(),
  /** Hex digits of a term that name its shard; 0: all entries are here. */
  digits: z.int().min(0).max(8),
  entries: z.array(entry),
})

export type IndexEntry = z.infer<typeof entry>
export type IndexRun = z.infer<typeof run>

export function termOf(kind: TermKind, value: string): string {
  return hash('sha256', `${kind}\0${value}`, 'hex').slice(0, TERM_DIGITS)
}

/** How many manifests a run covers. */
export function runSize(level: number): bigint {
  return RUN_FACTOR ** BigInt(level + 1)
}

export function runKey({ level, index }: RunPlace): string {
  return `runs/${String(level)}/${String(index).padStart(9, '0')}.json.gz`
}

export function shardKey({ level, index }: RunPlace, shard: string): string {
  return `shards/${String(level)}/${String(index).padStart(9, '0')}/${shard}.json.gz`
}

export function encodeRun(document: IndexRun): Buffer {
  return gzipSync(JSON.stringify(document))
}

/** @throws ARCHIVE_INDEX_INVALID */
export function decodeRun(bytes: Buffer, key: string): IndexRun {
  try {
    return run.parse(JSON.parse(gunzipSync(bytes, { maxOutputLength: PLAIN_BYTES_MAX }).toString()))
  } catch (error) {
    throw new HooktrailError('ARCHIVE_INDEX_INVALID', { key }, error)
  }
}

/** Entries with those of their terms that belong into a shard. */
export function shardOf(entries: readonly IndexEntry[], shard: string): readonly IndexEntry[] {
  return entries
    .map(({ manifest, terms }) => ({ manifest, terms: terms.filter((term) => term.startsWith(shard)) }))
    .filter(({ terms }) => terms.length > 0)
}
