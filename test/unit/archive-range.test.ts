/**
 * Segments found by their keys and read from any offset: whatever lies where, each offset comes out once, as what it is.
 * The store is a map; the bytes in it are the product's own.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync, hash } from 'node:crypto'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { encodeDocument } from '../../core/archive/documents.ts'
import { dataKey, manifestKey } from '../../core/archive/keys.ts'
import { leafHash } from '../../core/archive/leaf.ts'
import type { Manifest } from '../../core/archive/manifest.ts'
import { merkleRoot } from '../../core/archive/merkle.ts'
import { findSegment, type ArchiveSource } from '../../core/archive/range/find-segment.ts'
import { SegmentRows } from '../../core/archive/range/segment-rows.ts'
import { encodeRow } from '../../core/archive/row.ts'
import { makeSigner, parseVerifierKey, signNote } from '../../core/archive/signed-note.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ReadableArchive } from '../../core/ports/archive-store.ts'
import type { LogRecord, OffsetGap } from '../../core/ports/event-log.ts'

const at = { topic: 'hooktrail.events.demo', topicId: '0a1b2c3d4e5f60718293a4b5c6d7e8f9', partition: 0 }
const FIRST = 100n
const NEVER = new AbortController().signal
/** A few of them fill a block. */
const LARGE = 200_000

const signer = makeSigner(generateKeyPairSync('ed25519').privateKey, 'test')

class MapStore implements ReadableArchive {
  readonly location = 'memory'
  readonly objects = new Map<string, Buffer>()
  reads = 0
  listed = 0

  read(key: string): Promise<Buffer | null> {
    this.reads += 1
    return Promise.resolve(this.objects.get(key) ?? null)
  }

  open(): Promise<null> {
    return Promise.resolve(null)
  }

  async *list(prefix: string, after = '') {
    await Promise.resolve()
    for (const key of [...this.objects.keys()].sort()) {
      if (!key.startsWith(prefix) || key <= after) continue
      this.listed += 1
      yield { key, size: 0, lastModifiedMs: 0, versionId: null, lock: null }
    }
  }
}

function sourceOf(store: MapStore): ArchiveSource {
  return { store, keys: [parseVerifierKey(signer.vkey)] }
}

function recordAt(offset: bigint, bytes: number): LogRecord {
  const value = Buffer.from(`${offset}-${'x'.repeat(bytes)}`)
  return { offset, timestampMs: offset, timestampType: 1, key: null, value, headers: [] }
}

interface Content {
  readonly records: readonly LogRecord[]
  readonly gaps: readonly OffsetGap[]
  readonly first: bigint
  readonly next: bigint
}

/** Puts the segment and its manifest. */
function putSegment(store: MapStore, { records, gaps, first, next }: Content): Manifest {
  const start = { ...at, start: first, timestampMs: 0n, format: 'jsonl.zst' as const }
  const data = zstdCompressSync(Buffer.concat(records.map((record) => encodeRow(record, at))))
  const key = dataKey(start)
  const sha256 = hash('sha256', data, 'hex')
  if (records.length > 0) store.objects.set(key, data)
  const object = { key, version_id: null, size: data.length, sha256, format: start.format, schema: 'row/1' }
  const manifest: Manifest = {
    ...{ kind: 'segment', format_version: 1, archive_id: 'test' },
    ...{ topic: at.topic, topic_id: at.topicId, partition: at.partition },
    ...{ first: String(first), last: String(next - 1n), next: String(next), genesis: false },
    ...{ records: records.length, raw_bytes: '0', leaves: records.length },
    gaps: gaps.map(({ from, to, reason }) => ({ from: String(from), to: String(to), reason })),
    min_timestamp_ms: records[0] === undefined ? null : String(records[0].timestampMs),
    max_timestamp_ms: records.length === 0 ? null : String(records.at(-1)?.timestampMs),
    data: records.length === 0 ? null : object,
    merkle_root: merkleRoot(records.map((record) => leafHash(record, at))).toString('hex'),
    ...{ previous: null, leader_epochs: [], log_start: '0', high_watermark: String(next) },
    ...{ retention: null, encryption: null, writer: 'test', adopted: false },
    created_at: '2026-01-01T00:00:00.000Z',
  }
  const note = signNote(encodeDocument(manifest), signer)
  store.objects.set(manifestKey(at.topic, at.topicId, at.partition, first), note)
  return manifest
}

/** One kind an offset: a record of some size, or a gap that joins the one before it. */
function contentOf(kinds: readonly (number | 'control' | 'hole')[]): Content {
  const records: LogRecord[] = []
  const gaps: OffsetGap[] = []
  for (const [index, kind] of kinds.entries()) {
    const offset = FIRST + BigInt(index)
    const before = gaps.at(-1)
    if (typeof kind === 'number') records.push(recordAt(offset, kind))
    else if (before?.to === offset - 1n && before.reason === kind)
      gaps[gaps.length - 1] = { ...before, to: offset }
    else gaps.push({ from: offset, to: offset, reason: kind })
  }
  return { records, gaps, first: FIRST, next: FIRST + BigInt(kinds.length) }
}

test('from every offset of any segment each offset comes once, as a record or in its gap, over all blocks', async () => {
  const kind = fc.oneof(
    fc.constantFrom('control' as const, 'hole' as const),
    fc.constantFrom(1, 1_000, LARGE),
  )
  const layouts = fc.array(kind, { minLength: 1, maxLength: 16 })
  await fc.assert(
    fc.asyncProperty(layouts, fc.integer({ min: 1, max: 5 }), async (kinds, recordsMax) => {
      const store = new MapStore()
      const content = contentOf(kinds)
      const manifest = putSegment(store, content)
      const rows = await SegmentRows.load(sourceOf(store), { kind: 'segment', manifest }, NEVER)
      for (let from = content.first; from < content.next; from++) {
        const records: LogRecord[] = []
        const offsets: bigint[] = []
        for (let next = from; next < content.next;) {
          const read = await rows.read({ from: next, recordsMax, bytesMax: 2 * LARGE })
          assert(read.next > next && read.records.length <= recordsMax)
          records.push(...read.records)
          offsets.push(...read.records.map(({ offset }) => offset), ...read.gaps.flatMap(offsetsOf))
          next = read.next
        }
        assert.deepEqual(
          records,
          content.records.filter(({ offset }) => offset >= from),
        )
        assert.deepEqual(
          offsets.toSorted((a, b) => Number(a - b)),
          kinds.map((_, index) => FIRST + BigInt(index)).filter((offset) => offset >= from),
        )
      }
    }),
    { numRuns: 25 },
  )
})

test('the segment of any offset is found among thousands with few looks, whatever their lengths', async () => {
  const store = new MapStore()
  const starts: bigint[] = []
  let next = FIRST
  for (let n = 0; n < 1_500; n++) {
    // Mostly tiny, now and then very long: what looking back by fixed steps would miss.
    const length = n % 97 === 0 ? 250_000n : BigInt(1 + (n % 3))
    const gaps = [{ from: next, to: next + length - 1n, reason: 'control' as const }]
    putSegment(store, { records: [], gaps, first: next, next: next + length })
    starts.push(next)
    next += length
  }
  for (const [index, start] of starts.entries()) {
    if (index % 13 !== 0 && index % 97 > 1) continue
    const end = (starts[index + 1] ?? next) - 1n
    for (const offset of new Set([start, (start + end) / 2n, end])) {
      store.reads = 0
      store.listed = 0
      const found = await findSegment(sourceOf(store), at, offset)
      assert(found?.kind === 'segment')
      assert.equal(found.manifest.first, String(start))
      assert(store.reads <= 2 && store.listed <= 1_100, `${store.reads} reads, ${store.listed} keys`)
    }
  }
  assert.equal(await findSegment(sourceOf(store), at, next), null)
})

test('a chain that begins later and does not say so is altered, and manifests of others are not believed', async () => {
  const store = new MapStore()
  const gaps = [{ from: FIRST, to: FIRST, reason: 'control' as const }]
  putSegment(store, { records: [], gaps, first: FIRST, next: FIRST + 1n })
  const refusedAs = (
    code: 'ARCHIVE_SEGMENT_ALTERED' | 'ARCHIVE_NOTE_INVALID',
    source: ArchiveSource,
    offset: bigint,
  ) => assert.rejects(findSegment(source, at, offset), (error) => isHooktrailError(error, code))
  await refusedAs('ARCHIVE_SEGMENT_ALTERED', sourceOf(store), 5n)

  const stranger = makeSigner(generateKeyPairSync('ed25519').privateKey, 'test')
  await refusedAs('ARCHIVE_NOTE_INVALID', { store, keys: [parseVerifierKey(stranger.vkey)] }, FIRST)

  const key = manifestKey(at.topic, at.topicId, at.partition, FIRST)
  const moved = manifestKey(at.topic, at.topicId, at.partition, FIRST + 7n)
  store.objects.set(moved, store.objects.get(key) ?? Buffer.alloc(0))
  await refusedAs('ARCHIVE_SEGMENT_ALTERED', sourceOf(store), FIRST + 7n)
})

function offsetsOf({ from, to }: OffsetGap): readonly bigint[] {
  return Array.from({ length: Number(to - from) + 1 }, (_, index) => from + BigInt(index))
}
