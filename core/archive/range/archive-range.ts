/**
 * The archive as a range of the log: from an offset on, to the end of its segment. Segments are found, fetched and
 * verified behind the caller, one after the other and each once for all who ask, so that nobody waits longer than he
 * says: what is not there yet is an answer without records, and what failed is thrown at whoever asks next. What was
 * read is kept, bounded in bytes, the least recently used goes first.
 */
import { Batcher } from '../../batcher.ts'
import type { Clock } from '../../clock.ts'
import { within } from '../../deadline.ts'
import { HooktrailError } from '../../error/hooktrail-error.ts'
import type { LogBounds, ReadRequest, ReadResult, TopicPartition } from '../../ports/event-log.ts'
import { findSegment, type ArchiveSource } from './find-segment.ts'
import { segmentSince } from './offset-since.ts'
import { SegmentRows } from './segment-rows.ts'

/** Compressed: about eight segments of `archive.roll.bytes` as it is by default. The newest always stays. */
export const SEGMENTS_BYTES_MAX = 64 * 1024 * 1024
/** Small ones cost a look each when somebody asks. */
const SEGMENTS_MAX = 256
/** One segment is verified at a time: it takes a core for as long as it lasts. */
const LOADS_AT_ONCE = 1
const LOADS_WAITING_MAX = 1_000
/** Of loads that nobody waited for, kept for who asks next; what is older says nothing about now. */
const FAILURES_MAX = 1_000
const FAILURE_MS_MAX = 120_000

export interface ArchiveRangeOptions {
  /** Asked only when something is to be read; again after it rejected. */
  readonly openSource: () => Promise<ArchiveSource>
  readonly clock: Clock
  readonly bytesMax?: number
}

export class ArchiveRange implements Disposable {
  readonly #options: ArchiveRangeOptions
  readonly #closing = new AbortController()
  /** By partition, least recently used first. */
  #segments: readonly { readonly name: string; readonly rows: SegmentRows }[] = []
  readonly #loads = new Map<string, Promise<Error | null>>()
  readonly #failures = new Map<string, { readonly error: Error; readonly at: number }>()
  readonly #turns: Batcher<() => Promise<void>, null>

  constructor(options: ArchiveRangeOptions) {
    this.#options = options
    this.#turns = new Batcher({
      run: async (works) => {
        for (const work of works) await work()
        return works.map(() => null)
      },
      itemsMax: 1,
      inFlightMax: LOADS_AT_ONCE,
      pendingMax: LOADS_WAITING_MAX,
    })
  }

  /**
   * As EventLog.read, without records where they have not come within `waitMsMax`.
   * @param bounds of the log; null: there is no such topic any more, and how far its chain goes is only seen by reading on
   * @throws ARCHIVE_RANGE_MISSING, ARCHIVE_READER_MISSING, ARCHIVE_SEGMENT_ALTERED, ARCHIVE_NOTE_INVALID, and what the
   * store throws
   */
  async read(request: ReadRequest, bounds: LogBounds | null): Promise<ReadResult> {
    const rows = this.#held(request) ?? (await this.#fetch(request))
    if (rows === null) {
      const none = bounds ?? { logStart: request.from, highWatermark: request.from }
      return { tier: 'archive', records: [], gaps: [], next: request.from, ...none }
    }
    const end = rows.highWatermark > rows.next ? rows.highWatermark : rows.next
    return {
      tier: 'archive',
      ...(await rows.read(request)),
      ...(bounds ?? { logStart: end, highWatermark: end }),
    }
  }

  /** First offset of the first archived segment with a record of that time or later; null: there is none. */
  async segmentSince(at: TopicPartition, timestampMs: bigint): Promise<bigint | null> {
    return segmentSince(await this.#options.openSource(), at, timestampMs)
  }

  /** What is under way is given up. */
  [Symbol.dispose](): void {
    this.#closing.abort()
  }

  #held({ from, ...at }: ReadRequest): SegmentRows | null {
    const name = nameOf(at)
    const found = this.#segments.find((each) => each.name === name && each.rows.covers(from))
    if (found === undefined) return null
    this.#segments = [...this.#segments.filter((each) => each !== found), found]
    return found.rows
  }

  async #fetch(request: ReadRequest): Promise<SegmentRows | null> {
    const key = `${nameOf(request)}/${request.from}`
    const earlier = this.#failureOf(key)
    if (earlier !== null) throw earlier
    const load = this.#loads.get(key) ?? this.#begin(key, request)
    const failure = await this.#within(request, load)
    if (failure === null) return this.#held(request)
    this.#failures.delete(key)
    throw failure
  }

  /** Told once. */
  #failureOf(key: string): Error | null {
    const failure = this.#failures.get(key)
    if (failure === undefined) return null
    this.#failures.delete(key)
    return this.#options.clock.monotonic() - failure.at < FAILURE_MS_MAX ? failure.error : null
  }

  /** Resolves with why it failed, or null; never rejects, since perhaps nobody waits. */
  #begin(key: string, request: ReadRequest): Promise<Error | null> {
    const load = this.#takeTurn(() => this.#load(request))
      .then(
        () => null,
        (error: unknown) => this.#fail(key, error),
      )
      .finally(() => this.#loads.delete(key))
    this.#loads.set(key, load)
    return load
  }

  async #takeTurn(work: () => Promise<void>): Promise<void> {
    if (this.#turns.pending >= LOADS_WAITING_MAX)
      throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { reason: 'too many reads wait for it already' })
    await this.#turns.push(work)
  }

  #fail(key: string, reason: unknown): Error {
    const error = reason instanceof Error ? reason : new Error(String(reason))
    this.#failures.set(key, { error, at: this.#options.clock.monotonic() })
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= FAILURES_MAX) break
      this.#failures.delete(oldest)
    }
    return error
  }

  async #load({ topic, topicId, partition, from }: ReadRequest): Promise<void> {
    const { signal } = this.#closing
    signal.throwIfAborted()
    const at = { topic, topicId, partition }
    // While it waited for its turn, another offset's load may have brought the segment.
    if (this.#segments.some(({ name, rows }) => name === nameOf(at) && rows.covers(from))) return
    const source = await this.#options.openSource()
    const found = await findSegment(source, at, from)
    if (found === null) throw new HooktrailError('ARCHIVE_RANGE_MISSING', { ...at, from: String(from) })
    this.#keep(nameOf(at), await SegmentRows.load(source, found, signal))
  }

  #keep(name: string, rows: SegmentRows): void {
    const bytesMax = this.#options.bytesMax ?? SEGMENTS_BYTES_MAX
    const kept = [...this.#segments, { name, rows }]
    let bytes = kept.reduce((sum, each) => sum + each.rows.bytes, 0)
    while (kept.length > 1 && (bytes > bytesMax || kept.length > SEGMENTS_MAX))
      bytes -= kept.shift()?.rows.bytes ?? 0
    this.#segments = kept
  }

  /** Null also when the time is up. */
  async #within({ waitMsMax, signal }: ReadRequest, load: Promise<Error | null>): Promise<Error | null> {
    if (waitMsMax <= 0) return null
    const { clock } = this.#options
    return (await within(() => load, { ms: waitMsMax, clock, signal }))?.value ?? null
  }
}

function nameOf({ topicId, partition }: Pick<TopicPartition, 'topicId' | 'partition'>): string {
  return `${topicId}/${partition}`
}
