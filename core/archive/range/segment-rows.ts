/**
 * One segment of the archive in memory, small and to be read from any offset. Nothing comes out of it that its signed
 * manifest does not vouch for: size and SHA-256 are checked before a byte is decompressed, every row and the root over
 * the leaves before one is handed out. The rows are kept in blocks that are compressed each by itself, so that a reader
 * pays for what he reads, and a segment occupies about what its object does. While it is read others get their turn.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { isHooktrailError } from '../../error/hooktrail-error.ts'
import { messageOf } from '../../error/message-of.ts'
import type { LogRecord, OffsetGap, ReadRequest } from '../../ports/event-log.ts'
import { rawBytesOf } from '../../record/raw-bytes.ts'
import { readRows } from '../data-rows.ts'
import type { Manifest, ManifestData } from '../manifest.ts'
import { leafRowOfLine } from '../leaf-row.ts'
import { RowCheck } from '../row-check.ts'
import { decodeRow } from '../row.ts'
import { altered, type ArchiveSource, type FoundSegment } from './find-segment.ts'

/** Of uncompressed rows: what a small read has to decompress. */
const BLOCK_CHARACTERS = 512 * 1024
/** Checked before the event loop gets a turn: 1 to 2 ms of ordinary events. */
const ROWS_PER_TURN = 50
const HASH_BYTES_PER_TURN = 2 * 1024 * 1024
const CHUNK_BYTES = 256 * 1024
/** What a segment occupies besides its blocks. */
const OVERHEAD_BYTES = 4_096
const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

interface Block {
  /** Number of its first row in the segment. */
  readonly firstRow: number
  /** Rows with a newline between them. */
  readonly zstd: Buffer
}

export interface SegmentRange {
  readonly records: readonly LogRecord[]
  readonly gaps: readonly OffsetGap[]
  readonly next: bigint
}

export class SegmentRows {
  readonly first: bigint
  /** First offset behind it. */
  readonly next: bigint
  /** Where the log ended when the segment was committed. */
  readonly highWatermark: bigint
  readonly bytes: number
  readonly #gaps: readonly OffsetGap[]
  readonly #blocks: readonly Block[]

  private constructor(
    range: Pick<SegmentRows, 'first' | 'next' | 'highWatermark'> & { readonly gaps: readonly OffsetGap[] },
    blocks: readonly Block[],
  ) {
    this.first = range.first
    this.next = range.next
    this.highWatermark = range.highWatermark
    this.#gaps = range.gaps
    this.#blocks = blocks
    this.bytes = blocks.reduce((sum, { zstd }) => sum + zstd.length, OVERHEAD_BYTES)
  }

  /** @throws ARCHIVE_SEGMENT_ALTERED, and what the store throws */
  static async load(source: ArchiveSource, found: FoundSegment, signal: AbortSignal): Promise<SegmentRows> {
    switch (found.kind) {
      case 'before-chain': {
        const { next, reason } = found
        const gaps = [{ from: 0n, to: next - 1n, reason }]
        return new SegmentRows({ first: 0n, next, highWatermark: next, gaps }, [])
      }
      case 'segment': {
        const { manifest } = found
        const gaps = manifest.gaps.map(({ from, to, reason }) => ({
          from: BigInt(from),
          to: BigInt(to),
          reason,
        }))
        const next = BigInt(manifest.next)
        const highWatermark = BigInt(manifest.high_watermark)
        const range = { first: BigInt(manifest.first), next, highWatermark, gaps }
        const { data } = manifest
        return new SegmentRows(
          range,
          data === null ? [] : await loadBlocks({ source, manifest, data, signal }),
        )
      }
      default:
        return found satisfies never
    }
  }

  covers(offset: bigint): boolean {
    return offset >= this.first && offset < this.next
  }

  /** From `from` on, which must lie in it, to its end or to a bound. */
  async read({
    from,
    recordsMax,
    bytesMax,
  }: Pick<ReadRequest, 'from' | 'recordsMax' | 'bytesMax'>): Promise<SegmentRange> {
    assert(this.covers(from), 'the offset lies in the segment')
    const records: LogRecord[] = []
    const gaps: OffsetGap[] = []
    const rows = this.#rowsFrom(this.#rowAt(from))
    let bytes = 0
    let next = from
    while (next < this.next) {
      const gap = this.#gaps.find((each) => next >= each.from && next <= each.to)
      if (gap !== undefined) {
        gaps.push({ ...gap, from: next })
        next = gap.to + 1n
        continue
      }
      if (records.length > 0 && (records.length >= recordsMax || bytes >= bytesMax)) break
      const { value: row } = await rows.next()
      assert(row !== undefined, 'a verified segment has a row for every offset that is no gap')
      const { record } = decodeRow(row)
      assert.equal(record.offset, next, 'rows are in the order of offsets')
      records.push(record)
      bytes += rawBytesOf(record)
      next += 1n
    }
    return { records, gaps, next }
  }

  /** Number of the first row at or behind the offset. */
  #rowAt(offset: bigint): number {
    let row = offset - this.first
    for (const { from, to } of this.#gaps) {
      if (from >= offset) break
      row -= (to < offset ? to + 1n : offset) - from
    }
    return Number(row)
  }

  async *#rowsFrom(first: number): AsyncGenerator<string, undefined> {
    const index = this.#blocks.findLastIndex(({ firstRow }) => firstRow <= first)
    for (const { firstRow, zstd } of this.#blocks.slice(Math.max(index, 0))) {
      const rows = (await decompress(zstd)).toString('utf8').split('\n')
      yield* rows.slice(Math.max(first - firstRow, 0))
    }
  }
}

interface Loading {
  readonly source: ArchiveSource
  readonly manifest: Manifest
  readonly data: ManifestData
  readonly signal: AbortSignal
}

async function loadBlocks(loading: Loading): Promise<readonly Block[]> {
  const { manifest, data, signal } = loading
  const object = await readObject(loading)
  const check = new RowCheck(manifest)
  const blocks = new BlockWriter()
  const onLine = (line: string): Promise<void> | undefined => {
    check.add(leafRowOfLine(line))
    return blocks.add(line)
  }
  try {
    await readRows({ bytes: chunksOf(object), format: data.format, onLine, signal })
  } catch (error) {
    signal.throwIfAborted()
    throw altered(data.key, `it cannot be read to its end: ${messageOf(error)}`, error)
  }
  const fault = check.finish()
  if (fault !== null) throw altered(data.key, fault.text)
  return blocks.finish()
}

/** Whole, before anything of it is looked at: what is not the signed object is not even decompressed. */
async function readObject({ source, data, signal }: Loading): Promise<Buffer> {
  const object = await source.store.read(data.key, data.size).catch((error: unknown) => {
    if (isHooktrailError(error, 'ARCHIVE_OBJECT_TOO_LARGE')) return Buffer.alloc(0)
    throw error
  })
  if (object === null) throw altered(data.key, 'it is missing')
  if (object.length !== data.size) throw altered(data.key, 'it has another size than its manifest names')
  const digest = createHash('sha256')
  for (let start = 0; start < object.length; start += HASH_BYTES_PER_TURN) {
    digest.update(object.subarray(start, start + HASH_BYTES_PER_TURN))
    await nextTurn()
    signal.throwIfAborted()
  }
  if (digest.digest('hex') !== data.sha256)
    throw altered(data.key, 'it does not have the SHA-256 that its manifest names')
  return object
}

function* chunksOf(bytes: Buffer): Generator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES)
    yield bytes.subarray(start, start + CHUNK_BYTES)
}

class BlockWriter {
  readonly #blocks: Block[] = []
  #rows: string[] = []
  #characters = 0
  #count = 0

  /** To be awaited before the next one, where there is something to await. */
  add(row: string): Promise<void> | undefined {
    this.#rows.push(row)
    this.#characters += row.length
    this.#count += 1
    if (this.#characters >= BLOCK_CHARACTERS) return this.#close()
    return this.#count % ROWS_PER_TURN === 0 ? nextTurn() : undefined
  }

  async finish(): Promise<readonly Block[]> {
    if (this.#rows.length > 0) await this.#close()
    return this.#blocks
  }

  async #close(): Promise<void> {
    const zstd = await compress(Buffer.from(this.#rows.join('\n')), FAST)
    this.#blocks.push({ firstRow: this.#count - this.#rows.length, zstd })
    this.#rows = []
    this.#characters = 0
  }
}
