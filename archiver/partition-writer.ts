/**
 * Archives one partition, step by step: assign, buffer, seal, put, commit. Holds nothing that a crash could lose: the
 * chain in the store says where to go on, and the log still holds everything behind it. Two writers on one partition
 * do no harm; each write has one winner and the other adopts.
 */
import { AssertionError } from 'node:assert/strict'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { formatBehind, type HeartbeatPartition } from '../core/archive/manifest.ts'
import type { OpenRoot } from '../core/archive/running-roots.ts'
import { explanationOf } from '../core/error/explanation-of.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { LogBounds, ReadResult, TopicPartition } from '../core/ports/event-log.ts'
import { adoptData, findDataAt } from './adopt-data.ts'
import { partitionKey, type ArchiverContext } from './archiver-context.ts'
import { findHead, fitToLog } from './assign-partition.ts'
import { commitManifest, putData, supersededBy } from './commit-segment.ts'
import { LogDoubt } from './log-doubt.ts'
import { entriesOf, readBatch } from './log-reader.ts'
import type { ChainHead } from './manifest-chain.ts'
import { isOtherRecord } from './refuse-fork.ts'
import { SegmentBuffer } from './segment-buffer.ts'
import type { SealedSegment, Segment } from './segment.ts'
import { isBodyThere } from './spool-file.ts'
import { haltsPartition, retryDelayMs } from './writer-fault.ts'
import { messageOf } from '../core/error/message-of.ts'

/** Records encoded before the event loop gets a turn: about 2 ms. */
const RECORDS_PER_TURN = 50
/** A log of nothing but gaps must not grow one manifest without end. */
const GAPS_MAX = 1000

export type WriterStep = 'progress' | 'idle' | 'waiting' | 'halted'

export interface PartitionLag {
  /** Offsets in the log that no manifest covers. */
  readonly records: bigint
  /** Log time before which everything is archived; null where nothing waits. */
  readonly oldestMs: bigint | null
  /** Archived offsets that the log still holds before them. */
  readonly margin: bigint
}

export interface WriterStatus {
  readonly at: TopicPartition
  /** Null while it is not known: before the first look at chain and log, or when that fails. */
  readonly lag: PartitionLag | null
  readonly haltedBy: string | null
  readonly retryingBecause: string | null
}

export class PartitionWriter {
  readonly at: TopicPartition
  readonly #context: ArchiverContext
  readonly #signed: (at: TopicPartition) => HeartbeatPartition | null
  readonly #spoolPath: string
  readonly #doubt: LogDoubt
  #head: ChainHead | null = null
  #bounds: LogBounds = { logStart: 0n, highWatermark: 0n }
  /** Outlives the head, which a failure drops: what was archived stays so. */
  #archivedTo: bigint | null = null
  #oldestMs: bigint | null = null
  /** A data object may lie at the head: looked for once after each assignment. */
  #mayHaveData = true
  #buffer: SegmentBuffer | null = null
  #openedAt = 0
  #sealed: SealedSegment | null = null
  #stored: Segment | null = null
  #halted: string | null = null
  #failures = 0
  #failure: string | null = null
  #retryAt = 0

  constructor(
    context: ArchiverContext,
    at: TopicPartition,
    signed: (at: TopicPartition) => HeartbeatPartition | null,
  ) {
    this.#context = context
    this.at = at
    this.#signed = signed
    this.#doubt = new LogDoubt(context.lostConnections)
    const name = partitionKey(at).replaceAll('/', '-')
    this.#spoolPath = join(context.spoolDirectory, `${name}.jsonl`)
  }

  get bufferedBytes(): number {
    return this.#buffer?.bytes ?? 0
  }

  get isDoubted(): boolean {
    return this.#doubt.stands
  }

  openRoot(): OpenRoot | null {
    return this.#buffer?.openRoot() ?? null
  }

  status(): WriterStatus {
    return {
      at: this.at,
      lag: this.#lag(),
      haltedBy: this.#halted,
      retryingBecause: this.#failure,
    }
  }

  /** One bounded piece of work. Rejects only where an invariant is broken. */
  async step(): Promise<WriterStep> {
    if (this.#halted !== null) return 'halted'
    if (this.#failures > 0 && this.#context.clock.monotonic() < this.#retryAt) return 'waiting'
    try {
      const step = await this.#advance()
      this.#failures = 0
      this.#failure = null
      return step
    } catch (error) {
      return this.#fail(error)
    }
  }

  /** The next steps seal and commit what is buffered, however little it is. */
  async seal(): Promise<void> {
    if (this.#buffer === null || this.#sealed !== null || this.#halted !== null) return
    try {
      this.#sealed = await this.#buffer.seal()
    } catch (error) {
      await this.#fail(error)
    }
  }

  /** What failed is tried again by the next step. */
  hurry(): void {
    this.#retryAt = 0
  }

  /** True when nothing is buffered that a further step could commit. */
  get isFlushed(): boolean {
    return this.#halted !== null || this.#buffer === null
  }

  async dispose(): Promise<void> {
    await this.#dropBuffer()
  }

  #lag(): PartitionLag | null {
    if (this.#archivedTo === null) return null
    const records = this.#bounds.highWatermark - this.#archivedTo
    const margin = this.#archivedTo > this.#bounds.logStart ? this.#archivedTo - this.#bounds.logStart : 0n
    const isLooking = this.#halted === null && this.#failure === null
    if (records <= 0n) return isLooking ? { records: 0n, oldestMs: null, margin } : null
    return this.#oldestMs === null ? null : { records, oldestMs: this.#oldestMs, margin }
  }

  #goOnFrom(head: ChainHead): void {
    this.#head = head
    this.#archivedTo = head.next
  }

  async #advance(): Promise<WriterStep> {
    if (this.#sealed !== null) return this.#commitFenced(this.#sealed)
    if (this.#doubt.stands && (await this.#lookBack()) === 'sealed') return 'progress'
    if (this.#head === null) return this.#assign()
    if (this.#buffer !== null && this.#isOld()) {
      this.#sealed = await this.#buffer.seal()
      return 'progress'
    }
    return this.#fill(this.#head)
  }

  /** What is buffered of a log that is gone is committed; then, as without a buffer, the head is compared with the log. */
  async #lookBack(): Promise<'sealed' | 'looked'> {
    const { level } = this.#doubt
    const buffer = this.#buffer
    if (buffer === null) this.#head = null
    else if (await isOtherRecord(this.#context, this.at, buffer)) {
      this.#sealed = await buffer.seal()
      return 'sealed'
    } else this.#doubt.settle(level)
    return 'looked'
  }

  async #assign(): Promise<WriterStep> {
    const { at } = this
    const { level } = this.#doubt
    const signed = this.#signed(at)
    // The log first: a head that another archiver commits in between must not look like a log that lost its end.
    const head = await findHead(this.#context, at, signed)
    this.#bounds = await this.#context.log.bounds(at)
    this.#goOnFrom(await fitToLog(this.#context, { at, head, signed, bounds: this.#bounds }))
    this.#mayHaveData = true
    this.#doubt.settle(level)
    return 'progress'
  }

  async #fill(head: ChainHead): Promise<WriterStep> {
    const batch = await readBatch(this.#context, this.at, this.#buffer?.next ?? head.next)
    // It may be the first that was read of another log.
    if (this.#doubt.stands) return 'progress'
    this.#bounds = batch
    if (this.#buffer === null) this.#oldestMs = batch.records[0]?.timestampMs ?? null
    if (batch.records.length === 0 && batch.gaps.length === 0) return 'idle'
    if (this.#mayHaveData && (await this.#adoptAt(head, batch))) return 'progress'
    this.#buffer ??= this.#open(head)
    const isFull = await this.#encode(this.#buffer, batch)
    if (isFull) this.#sealed = await this.#buffer.seal()
    else await this.#buffer.spill()
    // Caught up: records gather until the next poll, since small reads cost more for each record.
    return isFull || batch.next < batch.highWatermark ? 'progress' : 'idle'
  }

  /** After a crash between data and manifest the object lies here: its manifest is written instead of a new object. */
  async #adoptAt(head: ChainHead, { records }: ReadResult): Promise<boolean> {
    const [record] = records
    if (record === undefined) return false
    const { at } = this
    const key = await findDataAt(this.#context, { at, start: head.next, timestampMs: record.timestampMs })
    this.#mayHaveData = false
    if (key === null) return false
    this.#mayHaveData = true
    const segment = await adoptData(this.#context, { at, first: head.next, key })
    this.#goOnFrom(await commitManifest(this.#context, { at, head, bounds: this.#bounds }, segment))
    this.#oldestMs = segment.maxTimestampMs ?? this.#oldestMs
    return true
  }

  #open({ next: first, manifest }: ChainHead): SegmentBuffer {
    this.#openedAt = this.#context.clock.monotonic()
    const format = formatBehind(this.#context.genesisFormat, manifest)
    return new SegmentBuffer({ at: this.at, first, format, spoolPath: this.#spoolPath })
  }

  /** @returns true when the segment must be sealed; the rest of the batch is read again for the next one. */
  async #encode(buffer: SegmentBuffer, batch: ReadResult): Promise<boolean> {
    let untilTurn = RECORDS_PER_TURN
    buffer.addLeaderEpochs(batch.leaderEpochs ?? [])
    for (const entry of entriesOf(batch)) {
      if (entry.kind === 'gap') buffer.addGap(entry.gap)
      else {
        if (buffer.beginsNewHour(entry.record)) return true
        buffer.addRecord(entry.record)
      }
      if (this.#isFull(buffer)) return true
      if (--untilTurn === 0) {
        untilTurn = RECORDS_PER_TURN
        await nextTurn()
      }
    }
    return false
  }

  #isFull({ bytes, records, gaps }: SegmentBuffer): boolean {
    const { bytesMax, recordsMax } = this.#context.settings.roll
    return bytes >= bytesMax || records >= recordsMax || gaps >= GAPS_MAX
  }

  #isOld(): boolean {
    return this.#context.clock.monotonic() - this.#openedAt >= this.#context.settings.roll.ageMsMax
  }

  /** Nothing is added to the chain of a topic that somebody has replaced: the store was made whole from what it held. */
  #commitFenced(sealed: SealedSegment): Promise<WriterStep> {
    const { replaceableLog } = this.#context
    if (!this.#doubt.stands || replaceableLog === undefined) return this.#commit(sealed)
    return replaceableLog.whileThere(this.at.topicId, () => this.#commit(sealed))
  }

  async #commit(sealed: SealedSegment): Promise<WriterStep> {
    const head = this.#head
    if (head === null) throw new HooktrailError('ARCHIVE_CHAIN_BROKEN', { ...this.at, reason: 'no head' })
    const request = { at: this.at, head, bounds: this.#bounds }
    const superseding = this.#stored === null ? await supersededBy(this.#context, request) : null
    if (superseding === null) {
      this.#stored ??= await putData(this.#context, request, sealed)
      this.#goOnFrom(await commitManifest(this.#context, request, this.#stored))
    } else this.#goOnFrom(superseding)
    this.#oldestMs = (this.#stored ?? sealed).maxTimestampMs ?? this.#oldestMs
    await this.#dropBuffer()
    return 'progress'
  }

  async #dropBuffer(): Promise<void> {
    const buffer = this.#buffer
    this.#buffer = null
    this.#sealed = null
    this.#stored = null
    await buffer?.dispose()
  }

  async #fail(error: unknown): Promise<WriterStep> {
    if (error instanceof AssertionError) throw error
    const { logger, clock, metrics } = this.#context
    const fields = {
      ...this.at,
      error: messageOf(error),
      details: isHooktrailError(error) ? error.details : {},
    }
    if (haltsPartition(error)) {
      this.#halted = messageOf(error)
      logger.error(fields, 'archiving of a partition halts; the log keeps its events')
      metrics.count('archive_halts_total')
      await this.#dropBuffer()
      return 'halted'
    }
    this.#failures += 1
    this.#failure = explanationOf(error)
    if (this.#context.lostConnections !== undefined && isHooktrailError(error, 'LOG_UNAVAILABLE'))
      this.#doubt.raise()
    this.#retryAt = clock.monotonic() + retryDelayMs(this.#failures)
    logger.warn({ ...fields, failures: this.#failures }, 'archiving of a partition waits and tries again')
    await this.#keepWhatIsWhole(error)
    return 'waiting'
  }

  /** A sealed segment stays while its body does. An open one stays while the log still has its next record, and is sealed when it has not. */
  async #keepWhatIsWhole(error: unknown): Promise<void> {
    if (isHooktrailError(error, 'LOG_UNAVAILABLE')) return
    if (this.#sealed !== null && (await isBodyThere(this.#sealed.body))) return
    const logMovedOn =
      isHooktrailError(error, 'LOG_OFFSET_OUT_OF_RANGE') || isHooktrailError(error, 'LOG_TOPIC_REPLACED')
    if (
      logMovedOn &&
      this.#sealed === null &&
      this.#buffer !== null &&
      this.#buffer.next > this.#buffer.first
    ) {
      this.#sealed = await this.#buffer.seal().catch(() => null)
      if (this.#sealed !== null) return
    }
    await this.#dropBuffer()
    this.#head = null
  }
}
