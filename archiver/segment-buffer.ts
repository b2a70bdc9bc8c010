/**
 * The open segment of one partition: rows go to the spool, leaves into a running Merkle stack, every offset is either a
 * record or in a gap. Offsets come in order without a hole; anything else is a broken invariant.
 */
import assert from 'node:assert/strict'
import { codecOf, type SegmentCodec } from '../core/archive/format/segment-codec.ts'
import { dataKey } from '../core/archive/keys.ts'
import { leafText } from '../core/archive/leaf.ts'
import type { ManifestGap, SegmentFormat } from '../core/archive/manifest.ts'
import { MerkleStack } from '../core/archive/merkle.ts'
import type { OpenRoot } from '../core/archive/running-roots.ts'
import type { LeaderEpoch, LogRecord, OffsetGap, TopicPartition } from '../core/ports/event-log.ts'
import { rawBytesOf } from '../core/record/raw-bytes.ts'
import { addGap, type SealedSegment, type SegmentData } from './segment.ts'
import { SpoolFile, type SealedBody } from './spool-file.ts'

const HOUR_MS = 3_600_000n

export interface SegmentStart {
  readonly at: TopicPartition
  readonly first: bigint
  readonly format: SegmentFormat
  readonly spoolPath: string
}

export class SegmentBuffer {
  readonly #start: SegmentStart
  readonly #codec: SegmentCodec
  readonly #spool: SpoolFile
  readonly #merkle = new MerkleStack()
  readonly #gaps: ManifestGap[] = []
  readonly #leaderEpochs: LeaderEpoch[] = []
  #next: bigint
  #records = 0
  #rawBytes = 0n
  #firstTimestampMs: bigint | null = null
  #minTimestampMs: bigint | null = null
  #maxTimestampMs: bigint | null = null

  constructor(start: SegmentStart) {
    this.#start = start
    this.#next = start.first
    this.#codec = codecOf(start.format)
    this.#spool = new SpoolFile(start.spoolPath, start.format)
  }

  get first(): bigint {
    return this.#start.first
  }
  get next(): bigint {
    return this.#next
  }
  get records(): number {
    return this.#records
  }
  get gaps(): number {
    return this.#gaps.length
  }
  /** Encoded bytes so far, before compression. */
  get bytes(): number {
    return this.#spool.bytes
  }
  get firstTimestampMs(): bigint | null {
    return this.#firstTimestampMs
  }
  /** Of the last record: the log's time never goes back. */
  get maxTimestampMs(): bigint | null {
    return this.#maxTimestampMs
  }

  /** Over the leaves so far; null while there is none. */
  openRoot(): OpenRoot | null {
    if (this.#records === 0) return null
    const { at, first: start } = this.#start
    return { at, start, next: this.#next, root: this.#merkle.root().toString('hex') }
  }

  /** True when the record lies in a later UTC hour than the first one: then it belongs to the next segment. */
  beginsNewHour(record: LogRecord): boolean {
    return this.#firstTimestampMs !== null && record.timestampMs / HOUR_MS > this.#firstTimestampMs / HOUR_MS
  }

  addRecord(record: LogRecord): void {
    assert.equal(record.offset, this.#next, 'records come without a hole')
    this.#spool.add(this.#codec.row(record, this.#start.at))
    this.#merkle.push(leafText(record, this.#start.at))
    this.#records += 1
    this.#rawBytes += BigInt(rawBytesOf(record))
    this.#firstTimestampMs ??= record.timestampMs
    this.#minTimestampMs = least(this.#minTimestampMs, record.timestampMs)
    this.#maxTimestampMs = greatest(this.#maxTimestampMs, record.timestampMs)
    this.#next += 1n
  }

  addGap(gap: OffsetGap): void {
    assert.equal(gap.from, this.#next, 'gaps come without a hole')
    addGap(this.#gaps, gap)
    this.#next = gap.to + 1n
  }

  /** Of the entries that are added next. */
  addLeaderEpochs(epochs: readonly LeaderEpoch[]): void {
    for (const next of epochs)
      if (next.epoch !== this.#leaderEpochs.at(-1)?.epoch) this.#leaderEpochs.push(next)
  }

  async spill(): Promise<void> {
    await this.#spool.spill()
  }

  /** The buffer takes nothing more afterwards. */
  async seal(): Promise<SealedSegment> {
    assert(this.#next > this.first, 'a segment covers at least one offset')
    const sealed = this.#firstTimestampMs === null ? null : await this.#spool.seal()
    return {
      first: this.first,
      last: this.#next - 1n,
      records: this.#records,
      rawBytes: this.#rawBytes,
      gaps: this.#gaps,
      minTimestampMs: this.#minTimestampMs,
      maxTimestampMs: this.#maxTimestampMs,
      merkleRoot: this.#merkle.root().toString('hex'),
      leaderEpochs: this.#leaderEpochs.filter(({ start }) => start < this.#next),
      data: sealed === null ? null : this.#dataOf(sealed),
      body: sealed?.body ?? null,
      adopted: false,
    }
  }

  #dataOf({ size, sha256 }: SealedBody): SegmentData {
    const { at, format } = this.#start
    const timestampMs = this.#firstTimestampMs
    assert(timestampMs !== null, 'there is a record')
    const key = dataKey({ ...at, start: this.first, timestampMs, format })
    return { key, format, size, sha256, versionId: null }
  }

  async dispose(): Promise<void> {
    await this.#spool.dispose()
  }
}

export function least(before: bigint | null, value: bigint): bigint {
  return before === null || value < before ? value : before
}

export function greatest(before: bigint | null, value: bigint): bigint {
  return before === null || value > before ? value : before
}
