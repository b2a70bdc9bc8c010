/**
 * Parquet from a stream of records: one row group is held, then its columns, whose pages are compressed with zstd. Runs in
 * a thread of its own where there is much (archiver/encode-file.ts).
 */
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { zstdCompressSync } from 'node:zlib'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import type { DecodedRow } from '../row.ts'
import { columnsOf, PARQUET_CODEC as CODEC, PARQUET_SCHEMA } from './parquet-columns.ts'
import { FrameSplitter } from './record-frame.ts'

/** Of records in one row group: what is held, and encoded without a turn for others. */
const GROUP_BYTES = 4 * 1024 * 1024
const GROUP_ROWS = 10_000
const PAGE_BYTES = 1024 * 1024
const ROWS_PER_TURN = 50

export function encodeParquet(): Duplex {
  return Duplex.from(encodeRows)
}

async function* encodeRows(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const frames = new FrameSplitter()
  const groups = new GroupWriter()
  for await (const chunk of chunks) {
    for (const { row, bytes } of frames.push(chunk)) {
      if (groups.add(row, bytes)) yield groups.flush()
      if (groups.isTurn) await nextTurn()
    }
  }
  frames.end()
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
  #held = 0

  get isTurn(): boolean {
    return this.#rows.length % ROWS_PER_TURN === 0
  }

  /** @returns true when the group is full */
  add(row: DecodedRow, bytes: number): boolean {
    this.#rows.push(row)
    this.#held += bytes
    return this.#held >= GROUP_BYTES || this.#rows.length >= GROUP_ROWS
  }

  flush(): Buffer {
    const columnData = columnsOf(this.#rows)
    void this.#writer.write({ columnData, rowGroupSize: this.#rows.length, pageSize: PAGE_BYTES })
    this.#rows = []
    this.#held = 0
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
