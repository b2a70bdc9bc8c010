/**
 * Log and archive as one: what the log has forgotten is read from the archive's segments, byte for byte the same, with
 * the gaps that were signed. The log is asked first, always: only where it was cut behind the offset, or its topic is no
 * longer there, is the archive asked. So nobody who stands in the log waits for the archive, or needs one.
 */
import { HooktrailError, isHooktrailError } from '../../error/hooktrail-error.ts'
import type {
  AppendRecord,
  EventLog,
  LogBounds,
  LogPosition,
  ReadRequest,
  ReadResult,
  Topic,
  TopicPartition,
  TopicSpec,
} from '../../ports/event-log.ts'
import type { ArchiveRange } from './archive-range.ts'

/** Reads of one segment in search of a time. */
const TIMED_RECORDS_MAX = 1_000
const TIMED_BYTES_MAX = 8 * 1024 * 1024
const TIMED_WAIT_MS_MAX = 20_000

export class UnionLog implements EventLog {
  readonly #log: EventLog
  readonly #archive: Pick<ArchiveRange, 'read' | 'segmentSince'>

  constructor(log: EventLog, archive: Pick<ArchiveRange, 'read' | 'segmentSince'>) {
    this.#log = log
    this.#archive = archive
  }

  get driver(): EventLog['driver'] {
    return this.#log.driver
  }

  /**
   * A read ends where its tier does; the next goes on in the other.
   * @throws what the log throws; ARCHIVE_RANGE_MISSING (details: logStart) where neither holds the offset; where only the
   * archive can, ARCHIVE_READER_MISSING, ARCHIVE_SEGMENT_ALTERED, ARCHIVE_NOTE_INVALID, ARCHIVE_STORE_UNAVAILABLE, …
   */
  async read(request: ReadRequest): Promise<ReadResult> {
    try {
      return await this.#log.read(request)
    } catch (error) {
      if (isHooktrailError(error, 'LOG_TOPIC_REPLACED')) return this.#readReplaced(request, error)
      const bounds = boundsIn(error)
      if (bounds === null || request.from >= bounds.logStart) throw error
      return this.#readBefore(request, bounds)
    }
  }

  ensureTopics(specs: readonly TopicSpec[]): Promise<readonly Topic[]> {
    return this.#log.ensureTopics(specs)
  }

  topics(): Promise<readonly Topic[]> {
    return this.#log.topics()
  }

  append(records: readonly AppendRecord[]): Promise<readonly LogPosition[]> {
    return this.#log.append(records)
  }

  bounds(partition: TopicPartition): Promise<LogBounds> {
    return this.#log.bounds(partition)
  }

  offsetAt(partition: TopicPartition, timestampMs: bigint): Promise<bigint> {
    return this.#log.offsetAt(partition, timestampMs)
  }

  epochEnd(partition: TopicPartition, epoch: number): Promise<bigint | null> {
    return this.#log.epochEnd(partition, epoch)
  }

  /**
   * As `offsetAt` over both: what was cut from the log is looked for in the archive, exactly. Resolves later than reads
   * do, since a segment may have to be fetched.
   * @throws what `read` throws; ARCHIVE_STORE_UNAVAILABLE also where a segment did not come in time
   */
  async offsetSince(partition: TopicPartition, timestampMs: bigint): Promise<bigint> {
    const offset = await this.#log.offsetAt(partition, timestampMs)
    const { logStart } = await this.#log.bounds(partition)
    if (offset > logStart || logStart === 0n) return offset
    let from = await this.#archive.segmentSince(partition, timestampMs)
    while (from !== null && from < logStart) {
      const bounds = {
        recordsMax: TIMED_RECORDS_MAX,
        bytesMax: TIMED_BYTES_MAX,
        waitMsMax: TIMED_WAIT_MS_MAX,
      }
      const { records, next } = await this.read({ ...partition, from, ...bounds })
      const found = records.find((record) => record.timestampMs >= timestampMs)
      if (found !== undefined) return found.offset
      if (next === from)
        throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', {
          reason: `nothing came within ${TIMED_WAIT_MS_MAX} ms`,
        })
      from = next
    }
    return offset
  }

  truncate(partition: TopicPartition, before: bigint): Promise<void> {
    return this.#log.truncate(partition, before)
  }

  diskUsage(): ReturnType<EventLog['diskUsage']> {
    return this.#log.diskUsage()
  }

  async #readBefore(request: ReadRequest, bounds: LogBounds): Promise<ReadResult> {
    try {
      return await this.#archive.read(request, bounds)
    } catch (error) {
      if (!isHooktrailError(error)) throw error
      throw new HooktrailError(error.code, { ...error.details, logStart: String(bounds.logStart) }, error)
    }
  }

  /** What the archive has of the topic of that id; behind its end the log's own word stands. */
  async #readReplaced(request: ReadRequest, replaced: HooktrailError): Promise<ReadResult> {
    try {
      return await this.#archive.read(request, null)
    } catch (error) {
      if (
        isHooktrailError(error, 'ARCHIVE_RANGE_MISSING') ||
        isHooktrailError(error, 'ARCHIVE_READER_MISSING')
      )
        throw replaced
      throw error
    }
  }
}

function boundsIn(error: unknown): LogBounds | null {
  if (!isHooktrailError(error, 'LOG_OFFSET_OUT_OF_RANGE')) return null
  const { logStart, highWatermark } = error.details
  return typeof logStart === 'bigint' && typeof highWatermark === 'bigint'
    ? { logStart, highWatermark }
    : null
}
