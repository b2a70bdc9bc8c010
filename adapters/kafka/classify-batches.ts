/**
 * Turns fetched batches into records and gaps, so that every offset from the one asked for to `next` is one or the other
 * (I7). An aborted record is one whose producer stands in the broker's list, from the offset named there until that
 * producer's abort marker. Each fetch brings the list of all transactions that reach into it, also those begun before,
 * so nothing is carried from one fetch to the next.
 */
import type { LeaderEpoch, LogRecord, OffsetGap } from '../../core/ports/event-log.ts'
import type { FetchedPartition } from './fetch-api.ts'
import { decodeRecords, isAbortMarker, readBatches, type BatchHeader } from './record-batch.ts'

export interface ReadLimits {
  readonly from: bigint
  readonly recordsMax: number
  readonly bytesMax: number
}

export interface Classified {
  readonly records: readonly LogRecord[]
  readonly gaps: readonly OffsetGap[]
  readonly next: bigint
  readonly leaderEpochs: readonly LeaderEpoch[]
}

/** @throws LOG_CORRUPT */
export function classifyBatches(fetched: FetchedPartition, limits: ReadLimits): Classified {
  const page = new Page(limits)
  const aborted = new AbortedProducers(fetched)
  for (const batch of readBatches(fetched.batches)) {
    if (batch.base >= fetched.lastStable) break
    aborted.enter(batch)
    page.enter(batch)
    if (batch.isControl) {
      page.skip(batch, 'control')
      aborted.leave(batch)
    } else if (aborted.includes(batch)) page.skip(batch, 'aborted')
    else if (batch.last >= page.next && !page.add(batch)) break
  }
  return page
}

class AbortedProducers {
  readonly #waiting: FetchedPartition['aborted'][number][]
  readonly #open = new Set<bigint>()

  constructor({ aborted }: FetchedPartition) {
    this.#waiting = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? 1 : -1))
  }

  enter({ last }: BatchHeader): void {
    for (
      let first = this.#waiting.at(-1);
      first !== undefined && first.firstOffset <= last;
      first = this.#waiting.at(-1)
    ) {
      this.#open.add(first.producerId)
      this.#waiting.pop()
    }
  }

  includes({ isTransactional, producerId }: BatchHeader): boolean {
    return isTransactional && this.#open.has(producerId)
  }

  leave(control: BatchHeader): void {
    if (this.#open.has(control.producerId) && isAbortMarker(control)) this.#open.delete(control.producerId)
  }
}

class Page implements Classified {
  readonly records: LogRecord[] = []
  readonly gaps: OffsetGap[] = []
  next: bigint
  readonly #epochs: LeaderEpoch[] = []
  readonly #limits: ReadLimits
  #bytes = 0

  constructor(limits: ReadLimits) {
    this.#limits = limits
    this.next = limits.from
  }

  get leaderEpochs(): readonly LeaderEpoch[] {
    return this.#epochs.filter(({ start }) => start < this.next)
  }

  /** Batches of records that were written before brokers counted epochs have none. */
  enter({ base, last, leaderEpoch: epoch }: BatchHeader): void {
    if (epoch < 0 || last < this.next || this.#epochs.at(-1)?.epoch === epoch) return
    this.#epochs.push({ epoch, start: base < this.next ? this.next : base })
  }

  /** The first batch may begin below what was asked for. */
  skip({ base, last }: BatchHeader, reason: OffsetGap['reason']): void {
    this.#gap(base - 1n, 'compacted')
    this.#gap(last, reason)
  }

  /** False when the page is full: the rest of the batch is read again. */
  add(batch: BatchHeader): boolean {
    for (const record of decodeRecords(batch)) {
      if (record.offset < this.next) continue
      if (this.records.length > 0 && this.#isFull(record)) return false
      this.#gap(record.offset - 1n, 'compacted')
      this.records.push(record)
      this.#bytes += bytesOf(record)
      this.next = record.offset + 1n
    }
    this.#gap(batch.last, 'compacted')
    return true
  }

  #isFull(record: LogRecord): boolean {
    return (
      this.records.length >= this.#limits.recordsMax || this.#bytes + bytesOf(record) > this.#limits.bytesMax
    )
  }

  #gap(to: bigint, reason: OffsetGap['reason']): void {
    if (to < this.next) return
    const before = this.gaps.at(-1)
    if (before?.reason === reason && before.to === this.next - 1n)
      this.gaps.splice(-1, 1, { from: before.from, to, reason })
    else this.gaps.push({ from: this.next, to, reason })
    this.next = to + 1n
  }
}

function bytesOf({ key, value, headers }: LogRecord): number {
  return headers.reduce(
    (sum, header) => sum + header.name.length + (header.value?.length ?? 0),
    (key?.length ?? 0) + (value?.length ?? 0),
  )
}
