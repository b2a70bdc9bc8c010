/**
 * The rows of one data object as a stream: decompression and splitting into lines, with bounded memory whatever the
 * object holds. Every byte that comes from the store is also handed to `onBytes`, so that one pass gives the digest.
 */
import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { HooktrailError } from '../error/hooktrail-error.ts'
import type { SegmentFormat } from './manifest.ts'

const CHUNK_BYTES = 256 * 1024
const LINE_BYTES_MAX = 256 * 1024 * 1024
const NEWLINE = 0x0a

export interface RowSource {
  readonly bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  readonly format: SegmentFormat
  readonly onBytes?: (bytes: Uint8Array) => void
  /** One row without its newline. A thrown error ends the stream. */
  readonly onLine: (line: string) => void | Promise<void>
  readonly signal: AbortSignal
}

/** @throws ARCHIVE_ROW_INVALID, or the decompressor's error */
export async function readRows(source: RowSource): Promise<void> {
  const decompress = decompressor(source.format)
  const consume = (chunks: AsyncIterable<Buffer>): Promise<void> => splitLines(chunks, source.onLine)
  await pipeline(tap(source), decompress, consume, { signal: source.signal })
}

function decompressor(format: SegmentFormat): Transform {
  switch (format) {
    case 'jsonl.zst':
      return createZstdDecompress({ chunkSize: CHUNK_BYTES })
    case 'jsonl.gz':
      return createGunzip({ chunkSize: CHUNK_BYTES })
    case 'parquet':
      throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'this version does not read parquet' })
    default:
      throw new HooktrailError('ARCHIVE_ROW_INVALID', { format: format satisfies never })
  }
}

async function* tap({ bytes, onBytes }: RowSource): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    onBytes?.(chunk)
    yield chunk
  }
}

async function splitLines(chunks: AsyncIterable<Buffer>, onLine: RowSource['onLine']): Promise<void> {
  let held: Buffer[] = []
  let heldBytes = 0
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const piece = chunk.subarray(start, end)
      const waits = onLine((held.length === 0 ? piece : Buffer.concat([...held, piece])).toString('utf8'))
      if (waits !== undefined) await waits
      held = []
      heldBytes = 0
      start = end + 1
    }
    if (start < chunk.length) held.push(chunk.subarray(start))
    heldBytes += chunk.length - start
    if (heldBytes > LINE_BYTES_MAX)
      throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'a row is too long' })
  }
  if (heldBytes > 0)
    throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'the last row has no newline' })
}
