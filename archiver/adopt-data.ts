/**
 * Adoption: a data object that lies at our start is somebody's finished work (ours before a crash, or another
 * archiver's). Its leaves are computed from its rows and compared with the log, offset by offset; equal means that its
 * manifest can be written, different means that two histories exist and the partition halts. Nothing is overwritten.
 */
import { createHash } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { readRows, type RowSource } from '../core/archive/data-rows.ts'
import { dataKeyParts, incarnationOf } from '../core/archive/keys.ts'
import { leafText } from '../core/archive/leaf.ts'
import type { ManifestGap } from '../core/archive/manifest.ts'
import { MerkleStack, type HashText } from '../core/archive/merkle.ts'
import { decodeRow } from '../core/archive/row.ts'
import { NEVER } from '../core/deadline.ts'
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { LogRecord, TopicPartition } from '../core/ports/event-log.ts'
import { rawBytesOf } from '../core/record/raw-bytes.ts'
import type { ArchiverContext } from './archiver-context.ts'
import { decodeObject } from './decode-object.ts'
import { entriesOf, readBatch, type LogEntry } from './log-reader.ts'
import { addGap, type Segment } from './segment.ts'
import { greatest, least } from './segment-buffer.ts'

export interface FoundData {
  readonly at: TopicPartition
  /** Where the chain stands: the first offset that the object must account for. */
  readonly first: bigint
  readonly key: string
  /** True for a topic that was deleted: only the object is left of its records. */
  readonly logIsGone?: boolean
}

/** @throws ARCHIVE_DIFFERS when a row is not what the log holds at its offset. */
export async function adoptData(context: ArchiverContext, found: FoundData): Promise<Segment> {
  const head = await context.archive.head(found.key)
  const bytes = await context.archive.open(found.key)
  if (head === null || bytes === null)
    throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key: found.key })
  const digest = createHash('sha256')
  const fold = new RowFold(context, found)
  let size = 0
  const onBytes = (chunk: Uint8Array): void => {
    digest.update(chunk)
    size += chunk.length
  }
  const format = dataKeyParts(found.key)?.format
  if (format === undefined)
    throw new HooktrailError('ARCHIVE_DIFFERS', { key: found.key, reason: 'no such name' })
  const onLine = (line: string): Promise<void> => fold.add(line)
  const decode = (): Duplex => decodeObject(format, context.clock)
  // One bounded read, for which the process's end waits.
  await foldRows({ bytes, format, decode, onBytes, onLine, signal: NEVER }, found.key)
  const range = fold.finish()
  const data = { key: found.key, format, size, sha256: digest.digest(), versionId: head.versionId }
  return { ...range, data, adopted: true }
}

/** An object that cannot be read at all differs from the log like one with other rows. */
async function foldRows(source: RowSource, key: string): Promise<void> {
  try {
    await readRows(source)
  } catch (error) {
    if (isHooktrailError(error) && error.code !== 'ARCHIVE_ROW_INVALID') throw error
    throw new HooktrailError('ARCHIVE_DIFFERS', { key, reason: 'it cannot be decoded' }, error)
  }
}

/** Key of a data object at this start that no manifest names, where the timestamp of its first record is known. */
export async function findDataAt(
  context: ArchiverContext,
  { at, start, timestampMs }: { at: TopicPartition; start: bigint; timestampMs: bigint },
): Promise<string | null> {
  const iso = new Date(Number(timestampMs)).toISOString()
  const folder = `data/topic=${at.topic}/dt=${iso.slice(0, 10)}/hour=${iso.slice(11, 13)}/`
  for await (const { key } of context.archive.list(folder + dataName(at, start))) return key
  return null
}

/** The same without a timestamp: every object of the topic behind `after` is looked at. Only before a loss is signed. */
export async function searchDataAt(
  context: ArchiverContext,
  { at, start, after }: { at: TopicPartition; start: bigint; after: string | null },
): Promise<string | null> {
  const name = dataName(at, start)
  const listing = context.archive.list(`data/topic=${at.topic}/`, after ?? undefined)
  for await (const { key } of listing) if (key.slice(key.lastIndexOf('/') + 1).startsWith(name)) return key
  return null
}

function dataName({ topicId, partition }: TopicPartition, start: bigint): string {
  return `${incarnationOf(topicId)}-p${String(partition).padStart(5, '0')}-${String(start).padStart(20, '0')}.`
}

/** Rows of the object side by side with the log, which is read again from the start. */
class RowFold {
  readonly #found: FoundData
  readonly #merkle = new MerkleStack()
  readonly #gaps: ManifestGap[] = []
  readonly #log: LogCursor
  #next: bigint
  #records = 0
  #rawBytes = 0n
  #minTimestampMs: bigint | null = null
  #maxTimestampMs: bigint | null = null

  constructor(context: ArchiverContext, found: FoundData) {
    this.#found = found
    this.#next = found.first
    this.#log = new LogCursor(context, found)
  }

  async add(line: string): Promise<void> {
    const { record, at } = decodeRow(line)
    const { at: ours } = this.#found
    const sameName = at.topic === ours.topic && at.topicId === ours.topicId && at.partition === ours.partition
    if (!sameName || record.offset < this.#next) throw this.#differs(record.offset)
    await this.#skipTo(record.offset)
    const leaf = leafText(record, ours)
    const logged = await this.#log.at(record.offset)
    // Below the log's start only the object is left of it; the log says so, and the object is all there is.
    if (logged !== 'cut' && (logged.kind !== 'record' || leafText(logged.record, ours) !== leaf)) {
      throw this.#differs(record.offset)
    }
    this.#count(record, leaf)
  }

  finish(): Omit<Segment, 'data' | 'adopted'> {
    if (this.#records === 0) throw this.#differs(this.#next)
    return {
      first: this.#found.first,
      last: this.#next - 1n,
      records: this.#records,
      rawBytes: this.#rawBytes,
      gaps: this.#gaps,
      minTimestampMs: this.#minTimestampMs,
      maxTimestampMs: this.#maxTimestampMs,
      merkleRoot: this.#merkle.root().toString('hex'),
      leaderEpochs: [],
    }
  }

  /** Offsets that the object leaves out must be gaps in the log too. */
  async #skipTo(offset: bigint): Promise<void> {
    while (this.#next < offset) {
      const logged = await this.#log.at(this.#next)
      if (logged !== 'cut' && logged.kind === 'record') throw this.#differs(this.#next)
      const to = logged === 'cut' ? this.#next : logged.gap.to
      if (to >= offset) throw this.#differs(offset)
      addGap(this.#gaps, { from: this.#next, to, reason: logged === 'cut' ? 'hole' : logged.gap.reason })
      this.#next = to + 1n
    }
  }

  #count(record: LogRecord, leaf: HashText): void {
    this.#merkle.push(leaf)
    this.#records += 1
    this.#rawBytes += BigInt(rawBytesOf(record))
    this.#minTimestampMs = least(this.#minTimestampMs, record.timestampMs)
    this.#maxTimestampMs = greatest(this.#maxTimestampMs, record.timestampMs)
    this.#next = record.offset + 1n
  }

  #differs(offset: bigint): HooktrailError {
    return new HooktrailError('ARCHIVE_DIFFERS', { key: this.#found.key, offset: String(offset) })
  }
}

/** The log's entries one by one, for ascending offsets. */
class LogCursor {
  readonly #context: ArchiverContext
  readonly #at: TopicPartition
  readonly #isGone: boolean
  #entries: Iterator<LogEntry> | null = null
  #current: LogEntry | null = null
  #logStart: bigint | null = null
  #readFrom = -1n

  constructor(context: ArchiverContext, { at, logIsGone = false }: FoundData) {
    this.#context = context
    this.#at = at
    this.#isGone = logIsGone
  }

  /** @throws ARCHIVE_FORK when the log ends before `offset`. */
  async at(offset: bigint): Promise<LogEntry | 'cut'> {
    if (this.#isGone) return 'cut'
    this.#logStart ??= (await this.#context.log.bounds(this.#at)).logStart
    if (offset < this.#logStart) return 'cut'
    for (;;) {
      if (this.#current !== null && lastOf(this.#current) >= offset) return this.#current
      const step = this.#entries?.next()
      if (step !== undefined && step.done !== true) this.#current = step.value
      else await this.#readMore(offset)
    }
  }

  async #readMore(offset: bigint): Promise<void> {
    const from = this.#readFrom < offset ? offset : this.#readFrom
    const batch = await readBatch(this.#context, this.#at, from)
    if (batch.next === from) {
      throw new HooktrailError('ARCHIVE_FORK', {
        ...this.#at,
        offset: String(offset),
        highWatermark: String(batch.highWatermark),
      })
    }
    this.#entries = entriesOf(batch)
    this.#readFrom = batch.next
  }
}

function lastOf(entry: LogEntry): bigint {
  return entry.kind === 'record' ? entry.record.offset : entry.gap.to
}
