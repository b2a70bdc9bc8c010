/**
 * Records of events, read at their pointers: from the log in ranges, and from the archive what the log has forgotten.
 * The topic id is part of the pointer, so no other topic's bytes appear.
 */
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import type { EventLog, LogRecord, TopicPartition } from '../core/ports/event-log.ts'
import type { EventView } from '../core/ports/job-store.ts'
import { decodeEvent } from '../core/record/decode-event.ts'
import type { EventRecord } from '../core/record/event-record.ts'
import { ArchiveRecords } from './archive-records.ts'

const READ_BYTES_MAX = 8 * 1024 * 1024
/** A gap of unwanted records that is cheaper to read over than to begin a new read. */
const GAP_MAX = 64n

export interface PayloadSources {
  readonly log: EventLog
  readonly openArchive: () => Promise<ArchiveStore | null>
}

export interface FoundRecord {
  readonly record: LogRecord
  readonly at: TopicPartition
  readonly tier: 'log' | 'archive'
}

interface Group {
  readonly at: TopicPartition
  readonly events: EventView[]
}

/** One for each request: what it has read of the archive is kept for the next call. */
export class PayloadReader {
  readonly #sources: PayloadSources
  #archive: Promise<ArchiveRecords | null> | null = null

  constructor(sources: PayloadSources) {
    this.#sources = sources
  }

  /** By event id; without those that neither log nor archive holds. */
  async read(events: readonly EventView[]): Promise<ReadonlyMap<string, FoundRecord>> {
    const found = new Map<string, FoundRecord>()
    await Promise.all(groupsOf(events).map((group) => this.#readGroup(group, found)))
    return found
  }

  async #readGroup({ at, events }: Group, found: Map<string, FoundRecord>): Promise<void> {
    const offsets = [...new Set(events.map(({ offset }) => offset))].sort((a, b) => (a < b ? -1 : 1))
    const fromLog = await readRanges(this.#sources.log, at, offsets)
    const missing = offsets.filter((offset) => !fromLog.has(offset))
    const archive = missing.length === 0 ? null : await this.#archiveRecords()
    const archived = archive === null ? null : await archive.read(at, missing)
    for (const { eventId, offset } of events) {
      const logged = fromLog.get(offset)
      const record = logged ?? archived?.get(offset)
      if (record !== undefined)
        found.set(eventId, { record, at, tier: logged === undefined ? 'archive' : 'log' })
    }
  }

  #archiveRecords(): Promise<ArchiveRecords | null> {
    this.#archive ??= this.#sources
      .openArchive()
      .then((store) => (store === null ? null : new ArchiveRecords(store)))
    return this.#archive
  }
}

export interface FoundEvent {
  readonly event: EventRecord
  readonly tier: 'log' | 'archive'
}

/** Null when neither log nor archive holds it. */
export async function readEvent(sources: PayloadSources, view: EventView): Promise<FoundEvent | null> {
  const found = (await new PayloadReader(sources).read([view])).get(view.eventId)
  return found === undefined ? null : { event: decodeEvent(found.record, found.at), tier: found.tier }
}

/** @throws API_PAYLOAD_GONE */
export async function requireEvent(sources: PayloadSources, view: EventView): Promise<EventRecord> {
  const found = await readEvent(sources, view)
  if (found === null) throw new HooktrailError('API_PAYLOAD_GONE', { id: view.eventId })
  return found.event
}

function groupsOf(events: readonly EventView[]): readonly Group[] {
  const groups = new Map<string, Group>()
  for (const event of events) {
    const { topic, topicId, partition } = event
    const name = `${topicId}/${partition}`
    const group = groups.get(name) ?? { at: { topic, topicId, partition }, events: [] }
    groups.set(name, group)
    group.events.push(event)
  }
  return [...groups.values()]
}

async function readRanges(
  log: EventLog,
  at: TopicPartition,
  offsets: readonly bigint[],
): Promise<ReadonlyMap<bigint, LogRecord>> {
  const found = new Map<bigint, LogRecord>()
  for (let index = 0; index < offsets.length;) {
    const from = offsets[index] ?? 0n
    const to = offsets[rangeEnd(offsets, index)] ?? from
    const next = await readRange(log, { at, from, to }, found)
    while (index < offsets.length && (offsets[index] ?? 0n) < next) index++
  }
  return found
}

/** Index of the last offset that is near enough to the one before it. */
function rangeEnd(offsets: readonly bigint[], start: number): number {
  let end = start
  while (end + 1 < offsets.length && (offsets[end + 1] ?? 0n) - (offsets[end] ?? 0n) <= GAP_MAX) end++
  return end
}

/** Where to go on: behind what came, or behind the range when the log has nothing there. */
async function readRange(
  log: EventLog,
  { at, from, to }: { at: TopicPartition; from: bigint; to: bigint },
  found: Map<bigint, LogRecord>,
): Promise<bigint> {
  const recordsMax = Number(to - from) + 1
  try {
    const read = await log.read({ ...at, from, recordsMax, bytesMax: READ_BYTES_MAX, waitMsMax: 0 })
    for (const record of read.records) found.set(record.offset, record)
    return read.next > from ? read.next : to + 1n
  } catch (error) {
    if (isHooktrailError(error, 'LOG_TOPIC_REPLACED')) return to + 1n
    if (!isHooktrailError(error, 'LOG_OFFSET_OUT_OF_RANGE')) throw error
    const { logStart } = error.details
    return typeof logStart === 'bigint' && logStart > from ? logStart : to + 1n
  }
}
