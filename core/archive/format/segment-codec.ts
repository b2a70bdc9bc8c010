/**
 * The one place that knows how a data object is formed: for each format, a pair of streams from records to the object's bytes and from
 * there to JSON lines. Whatever the form, the rows that come out give the same leaves and root as those that went in.
 */
import type { Duplex } from 'node:stream'
import { constants, createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib'
import type { SegmentFormat } from '../manifest.ts'
import type { LogRecord, TopicPartition } from '../../ports/event-log.ts'
import { encodeRow } from '../row.ts'
import { frameOf } from './record-frame.ts'
import type { LeafRow } from '../leaf-row.ts'
import { decodeParquet, readParquetLeaves } from './parquet-reader.ts'
import { encodeParquet } from './parquet-writer.ts'

const CHUNK_BYTES = 64 * 1024
/** Level 3 with a frame checksum: the usual trade, and damage is noticed by any zstd tool. */
const ZSTD_PARAMS = { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 }

export interface SegmentCodec {
  readonly contentType: string
  /** True when large objects are to be encoded in a thread of their own. */
  readonly blocksThread: boolean
  /** What `encode` takes of one record. */
  readonly row: (record: LogRecord, at: TopicPartition) => Buffer
  /** Takes whole rows, in chunks cut anywhere. */
  readonly encode: () => Duplex
  /** Gives JSON lines; fails where the object cannot be read to its end. */
  readonly decode: () => Duplex
  /** The leaves without lines in between; null where the object holds lines. */
  readonly leaves: LeafReader | null
}

/** Hands out what it can, and fails where the object cannot be read to its end. */
export type LeafReader = (chunks: AsyncIterable<Uint8Array>, onRow: (row: LeafRow) => void) => Promise<void>

/** One zstd frame: readers may stop at the end of the first. */
const codecs: Readonly<Record<SegmentFormat, SegmentCodec>> = {
  'jsonl.zst': {
    contentType: 'application/zstd',
    blocksThread: false,
    row: encodeRow,
    encode: () => createZstdCompress({ params: ZSTD_PARAMS, chunkSize: CHUNK_BYTES }),
    decode: () => createZstdDecompress({ chunkSize: CHUNK_BYTES }),
    leaves: null,
  },
  'jsonl.gz': {
    contentType: 'application/gzip',
    blocksThread: false,
    row: encodeRow,
    encode: () => createGzip({ chunkSize: CHUNK_BYTES }),
    decode: () => createGunzip({ chunkSize: CHUNK_BYTES }),
    leaves: null,
  },
  parquet: {
    contentType: 'application/vnd.apache.parquet',
    blocksThread: true,
    row: frameOf,
    encode: encodeParquet,
    decode: decodeParquet,
    leaves: readParquetLeaves,
  },
}

export function codecOf(format: SegmentFormat): SegmentCodec {
  return codecs[format]
}
