/**
 * Parquet as a stream of rows. Writing holds one row group; its pages are compressed with zstd. Reading needs the footer
 * first, so it holds the object, which the roll of segments bounds, and then one row group's rows after the other.
 */
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { decodeRow, encodeRow, type DecodedRow } from '../row.ts'
import { columnsOf, EXACT_COLUMNS, PARQUET_SCHEMA, rowOf } from './parquet-columns.ts'
import { LineSplitter } from './line-splitter.ts'

/** Of rows as JSON lines, in one row group: what is held, and encoded without a turn for others. */
const GROUP_CHARACTERS = 4 * 1024 * 1024
const GROUP_ROWS = 10_000
const PAGE_BYTES = 1024 * 1024
/** Twice the largest `archive.roll.bytes`. */
const OBJECT_BYTES_MAX = 2 ** 31
/** Of one page: the largest row, with room to spare. */
const PAGE_BYTES_MAX = 512 * 1024 * 1024
const ROWS_PER_TURN = 50
const CODEC = 'ZSTD'

export function encodeParquet(): Duplex {
  return Duplex.from(encodeRows)
}

export function decodeParquet(): Duplex {
  return Duplex.from(decodeRows)
}

async function* encodeRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const lines = new LineSplitter()
  const groups = new GroupWriter()
  for await (const chunk of chunks) {
    for (const line of lines.push(chunk)) {
      if (groups.add(line)) yield groups.flush()
      if (groups.isTurn) await nextTurn()
    }
  }
  lines.end()
  yield groups.finish()
}

class GroupWriter {
  readonly #bytes = new ByteWriter()
  readonly #writer = new ParquetWriter({
    writer: this.#bytes,
    schema: PARQUET_SCHEMA,
    codec: CODEC,
    compressors: { [CODEC]: (page) => zstdCompressSync(page) },
    createdBy: 'hooktrail',
  })
  #rows: DecodedRow[] = []
  #characters = 0

  get isTurn(): boolean {
    return this.#rows.length % ROWS_PER_TURN === 0
  }

  /** @returns true when the group is full */
  add(line: string): boolean {
    this.#rows.push(decodeRow(line))
    this.#characters += line.length
    return this.#characters >= GROUP_CHARACTERS || this.#rows.length >= GROUP_ROWS
  }

  flush(): Buffer {
    const columnData = columnsOf(this.#rows)
    void this.#writer.write({ columnData, rowGroupSize: this.#rows.length, pageSize: PAGE_BYTES })
    this.#rows = []
    this.#characters = 0
    return this.#take()
  }

  finish(): Buffer {
    const last = this.#rows.length === 0 ? Buffer.alloc(0) : this.flush()
    void this.#writer.finish()
    return Buffer.concat([last, this.#take()])
  }

  /** A copy, since the writer goes on in the same memory; it counts offsets by itself. */
  #take(): Buffer {
    const taken = Buffer.from(this.#bytes.getBytes())
    this.#bytes.index = 0
    return taken
  }
}

async function* decodeRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const file = await readWhole(chunks)
  const metadata = await parquetMetadataAsync(file)
  // Others are unpacked without our bound.
  if (metadata.row_groups.some(({ columns }) => columns.some((column) => column.meta_data?.codec !== CODEC)))
    throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: `its pages are not compressed with ${CODEC}` })
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    yield* decodeGroup({ file, metadata, rowStart, rowEnd })
    rowStart = rowEnd
  }
}

type GroupRequest = Pick<
  Parameters<typeof parquetReadObjects>[0],
  'file' | 'metadata' | 'rowStart' | 'rowEnd'
>

async function* decodeGroup(request: GroupRequest): AsyncGenerator<Buffer> {
  const rows: readonly Readonly<Record<string, unknown>>[] = await parquetReadObjects({
    ...request,
    columns: EXACT_COLUMNS,
    utf8: false,
    compressors: { [CODEC]: decompress },
  })
  let part: Buffer[] = []
  let bytes = 0
  for (const cells of rows) {
    const { record, at } = rowOf(cells)
    const line = encodeRow(record, at)
    bytes += line.length
    part.push(line)
    if (part.length < ROWS_PER_TURN && bytes < PAGE_BYTES) continue
    yield Buffer.concat(part)
    part = []
    bytes = 0
  }
  if (part.length > 0) yield Buffer.concat(part)
}

/** A page of nothing but nulls has no bytes, which is no limit that zlib takes. */
function decompress(page: Uint8Array, bytes: number): Uint8Array {
  if (bytes > PAGE_BYTES_MAX)
    throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'a page is too large' })
  return zstdDecompressSync(page, { maxOutputLength: Math.max(bytes, 1) })
}

async function readWhole(chunks: AsyncIterable<Buffer>): Promise<AsyncBuffer> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    bytes += chunk.length
    if (bytes > OBJECT_BYTES_MAX)
      throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'a parquet object is too large' })
    parts.push(chunk)
  }
  const { buffer } = new Uint8Array(Buffer.concat(parts, bytes))
  return { byteLength: bytes, slice: (start, end) => buffer.slice(start, end) }
}
