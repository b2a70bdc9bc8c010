/**
 * The rows of one data object as a stream of JSON lines, whatever its format, with bounded memory whatever it holds. Every byte that comes from the store is also handed to `onBytes`, so that one pass gives the digest.
 */
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { codecOf } from './format/segment-codec.ts'
import { LineSplitter } from './format/line-splitter.ts'
import { RowScanner } from './format/row-scanner.ts'
import { leafRowOfLine, type LeafRow } from './leaf-row.ts'
import type { TopicPartition } from '../ports/event-log.ts'
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
  const onLine = (line: Buffer): void | Promise<void> => source.onLine(line.toString('utf8'))
  const consume = (chunks: AsyncIterable<Buffer>): Promise<void> => readLines(chunks, onLine)
  await pipeline(tap(source), decode(), consume, { signal: source.signal })
}

export interface LeafSource extends Pick<RowSource, 'bytes' | 'format' | 'onBytes' | 'signal'> {
  /** Whose rows they should be. */
  readonly at: TopicPartition
  readonly onRow: (row: LeafRow) => void
}

/** As readRows, for who needs the leaves alone: nothing is made into a line that is none. */
export async function readLeaves(source: LeafSource): Promise<void> {
  const { at, format, onRow, signal } = source
  const { decode, leaves } = codecOf(format)
  if (leaves !== null) {
    await pipeline(tap(source), (chunks: AsyncIterable<Uint8Array>) => leaves(chunks, onRow), { signal })
    return
  }
  const scanner = new RowScanner(at)
  const onLine = (line: Buffer): void => {
    onRow(scanner.scan(line) ?? leafRowOfLine(line.toString('utf8')))
  }
  const consume = (chunks: AsyncIterable<Buffer>): Promise<void> => readLines(chunks, onLine)
  await pipeline(tap(source), decode(), consume, { signal })
}

async function* tap({ bytes, onBytes }: Pick<RowSource, 'bytes' | 'onBytes'>): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    onBytes?.(chunk)
    yield chunk
  }
}

async function readLines(
  chunks: AsyncIterable<Buffer>,
  onLine: (line: Buffer) => void | Promise<void>,
): Promise<void> {
  const lines = new LineSplitter()
  for await (const chunk of chunks) {
    for (const line of lines.push(chunk)) {
      const waits = onLine(line)
      if (waits !== undefined) await waits
    }
  }
  lines.end()
}
