/**
 * Parquet as a stream of rows. Writing holds one row group; its pages are compressed with zstd. Reading needs the footer
 * first, so it holds the object, which the roll of segments bounds, and then one row group's rows after the other.
 */
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { zstdCompressSync } from 'node:zlib'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { decodeRow, type DecodedRow } from '../row.ts'
import { columnsOf, PARQUET_CODEC as CODEC, PARQUET_SCHEMA } from './parquet-columns.ts'
import { LineSplitter } from './line-splitter.ts'

/** Of rows as JSON lines, in one row group: what is held, and encoded without a turn for others. */
const GROUP_CHARACTERS = 4 * 1024 * 1024
const GROUP_ROWS = 10_000
const PAGE_BYTES = 1024 * 1024
const ROWS_PER_TURN = 50

export function encodeParquet(): Duplex {
  return Duplex.from(encodeRows)
}

async function* encodeRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const lines = new LineSplitter()
  const groups = new GroupWriter()
  for await (const chunk of chunks) {
    for (const line of lines.push(chunk)) {
      if (groups.add(line.toString('utf8'))) yield groups.flush()
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
