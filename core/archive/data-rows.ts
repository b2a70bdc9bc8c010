/**
 * The rows of one data object as a stream of JSON lines, whatever its format, with bounded memory whatever it holds. Every byte that comes from the store is also handed to `onBytes`, so that one pass gives the digest.
 */
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { codecOf } from './format/segment-codec.ts'
import { LineSplitter } from './format/line-splitter.ts'
import type { SegmentFormat } from './manifest.ts'

export interface RowSource {
  readonly bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>
  readonly format: SegmentFormat
  readonly onBytes?: (bytes: Uint8Array) => void
  /** One row without its newline. A thrown error ends the stream. */
  readonly onLine: (line: string) => void | Promise<void>
  readonly signal: AbortSignal
  /** Instead of the format's own decoder, for objects that nothing vouches for. */
  readonly decode?: () => Duplex
}

/** @throws ARCHIVE_ROW_INVALID, or the decoder's error */
export async function readRows(source: RowSource): Promise<void> {
  const decode = source.decode ?? codecOf(source.format).decode
  const consume = (chunks: AsyncIterable<Buffer>): Promise<void> => readLines(chunks, source.onLine)
  await pipeline(tap(source), decode(), consume, { signal: source.signal })
}

async function* tap({ bytes, onBytes }: RowSource): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    onBytes?.(chunk)
    yield chunk
  }
}

async function readLines(chunks: AsyncIterable<Buffer>, onLine: RowSource['onLine']): Promise<void> {
  const lines = new LineSplitter()
  for await (const chunk of chunks) {
    for (const line of lines.push(chunk)) {
      const waits = onLine(line)
      if (waits !== undefined) await waits
    }
  }
  lines.end()
}
