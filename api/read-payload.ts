/**
 * Records of events, read at their pointers in ranges, from log and archive as one. The topic id is part of the pointer,
 * so no other topic's bytes appear; what the archive holds was verified before it comes here.
 */
import { HooktrailError, isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { EventLog, LogRecord, Tier, TopicPartition } from '../core/ports/event-log.ts'
import type { EventView } from '../core/ports/operator-store.ts'
import { decodeEvent } from '../core/record/decode-event.ts'
import type { EventRecord } from '../core/record/event-record.ts'

const READ_BYTES_MAX = 8 * 1024 * 1024
/** A gap of unwanted records that is cheaper to read over than to begin a new read. */
const GAP_MAX = 64n
/** For a segment of the archive to come; what the log holds comes at once. */
const WAIT_MS_MAX = 20_000

export interface PayloadSources {
  /** Log and archive as one. */
  readonly log: Pick<EventLog, 'read'>
}

export interface FoundRecord {
  readonly record: LogRecord
  readonly at: TopicPartition
  readonly tier: Tier
}

interface Group {
  readonly at: TopicPartition
  readonly events: EventView[]
}

type FoundOffsets = Map<bigint, Omit<FoundRecord, 'at'>>

/** By event id; without those that neither log nor archive holds. @throws LOG_UNAVAILABLE, ARCHIVE_STORE_UNAVAILABLE, … */
export async function readRecords(
  { log }: PayloadSources,
  events: readonly EventView[],
): Promise<ReadonlyMap<string, FoundRecord>> {
  const found = new Map<string, FoundRecord>()
  const readGroup = async (group: Group): Promise<void> => {
    const offsets = [...new Set(group.events.map(({ offset }) => offset))].sort((a, b) => (a < b ? -1 : 1))
    const records = await readRanges(log, group.at, offsets)
    for (const { eventId, offset } of group.events) {
      const record = records.get(offset)
      if (record !== undefined) found.set(eventId, { ...record, at: group.at })
    }
  }
  await Promise.all(groupsOf(events).map(readGroup))
  return found
}

export interface FoundEvent {
  readonly event: EventRecord
  readonly tier: Tier
}

/** Null when neither log nor archive holds it. */
export async function readEvent(sources: PayloadSources, view: EventView): Promise<FoundEvent | null> {
  const found = (await readRecords(sources, [view])).get(view.eventId)
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
  log: PayloadSources['log'],
  at: TopicPartition,
  offsets: readonly bigint[],
): Promise<FoundOffsets> {
  const found: FoundOffsets = new Map()
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

interface Range {
  readonly at: TopicPartition
  readonly from: bigint
  readonly to: bigint
}

/** Where to go on: behind what came, or behind what nobody holds. */
async function readRange(log: PayloadSources['log'], range: Range, found: FoundOffsets): Promise<bigint> {
  const { at, from, to } = range
  const bounds = { recordsMax: Number(to - from) + 1, bytesMax: READ_BYTES_MAX, waitMsMax: WAIT_MS_MAX }
  try {
    const { tier, records, next } = await log.read({ ...at, from, ...bounds })
    for (const record of records) found.set(record.offset, { record, tier })
    if (next > from) return next
    if (tier === 'log') return to + 1n
  } catch (error) {
    return behindMissing(error, range)
  }
  throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { reason: `nothing came within ${WAIT_MS_MAX} ms` })
}

/** What neither log nor archive holds is missing, and no fault of the reader. */
function behindMissing(error: unknown, { from, to }: Range): bigint {
  if (isHooktrailError(error, 'LOG_TOPIC_REPLACED') || isHooktrailError(error, 'LOG_OFFSET_OUT_OF_RANGE'))
    return to + 1n
  if (!isHooktrailError(error, 'ARCHIVE_RANGE_MISSING') && !isHooktrailError(error, 'ARCHIVE_READER_MISSING'))
    throw error
  const { logStart } = error.details
  const next = typeof logStart === 'string' ? BigInt(logStart) : to + 1n
  return next > from && next <= to ? next : to + 1n
}
