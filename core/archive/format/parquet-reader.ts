/**
 * Parquet as rows. Reading needs the footer first, so it holds the object, which the roll of segments bounds, and then one
 * row group's rows after the other: as JSON lines, or as leaves for who only compares.
 */
import { Duplex } from 'node:stream'
import { zstdDecompressSync } from 'node:zlib'
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer } from 'hyparquet'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import { leafRowOf, type LeafRow } from '../leaf-row.ts'
import { encodeRow } from '../row.ts'
import { EXACT_COLUMNS, PARQUET_CODEC as CODEC, rowForLeaf, rowOf } from './parquet-columns.ts'

/** Twice the largest `archive.roll.bytes`. */
const OBJECT_BYTES_MAX = 2 ** 31
/** Of one page: the largest row, with room to spare. */
const PAGE_BYTES_MAX = 512 * 1024 * 1024
/** Of lines, in one chunk. */
const CHUNK_BYTES = 1024 * 1024
const CHUNK_ROWS = 50

export function decodeParquet(): Duplex {
  return Duplex.from(decodeRows)
}

async function* decodeRows(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const rows of readGroups(chunks)) yield* linesOf(rows)
}

/** @throws ARCHIVE_ROW_INVALID, or what the library throws at what is no Parquet */
export async function readParquetLeaves(
  chunks: AsyncIterable<Uint8Array>,
  onRow: (row: LeafRow) => void,
): Promise<void> {
  for await (const rows of readGroups(chunks)) for (const cells of rows) onRow(leafRowOf(rowForLeaf(cells)))
}

type Cells = Readonly<Record<string, unknown>>

/** Rows of one row group after the other. */
async function* readGroups(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Cells[]> {
  const file = await readWhole(chunks)
  const metadata = await parquetMetadataAsync(file)
  // Others are unpacked without our bound.
  if (metadata.row_groups.some(({ columns }) => columns.some((column) => column.meta_data?.codec !== CODEC)))
    throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: `its pages are not compressed with ${CODEC}` })
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    yield await parquetReadObjects({
      ...{ file, metadata, rowStart, rowEnd },
      columns: EXACT_COLUMNS,
      utf8: false,
      compressors: { [CODEC]: decompress },
    })
    rowStart = rowEnd
  }
}

function* linesOf(rows: readonly Cells[]): Generator<Buffer> {
  let part: Buffer[] = []
  let bytes = 0
  for (const cells of rows) {
    const { record, at } = rowOf(cells)
    const line = encodeRow(record, at)
    bytes += line.length
    part.push(line)
    if (part.length < CHUNK_ROWS && bytes < CHUNK_BYTES) continue
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

async function readWhole(chunks: AsyncIterable<Uint8Array>): Promise<AsyncBuffer> {
  const parts: Uint8Array[] = []
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
