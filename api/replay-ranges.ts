/**
 * What is to be replayed, as offsets: times, ids and open ends are looked up once, here, so that a dry run, the run and a
 * run that goes on after a crash see the same records. Nothing lies behind the index: what it has not planned is live.
 */
import type { z } from 'zod'
import type { UnionLog } from '../core/archive/range/union-log.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { EventLog, Topic, TopicPartition } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { INDEX_HANDLER } from '../core/ports/plan-store.ts'
import type { EventView } from '../core/ports/operator-store.ts'
import type { ReplayRange } from '../core/ports/replay-store.ts'
import type { replayBody } from './replay-query.ts'

/** For a segment of the archive to come; what the log holds comes at once. */
const LOOK_WAIT_MS = 20_000
const LOOK_BYTES = 1_024

export interface RangeDeps {
  /** Log and archive as one. */
  readonly log: Pick<EventLog, 'read' | 'bounds'> & Pick<UnionLog, 'offsetSince'>
  readonly store: Pick<JobStore, 'positions' | 'getEvent'>
}

export type AskedRange = Pick<
  z.output<typeof replayBody>,
  'partition' | 'from_offset' | 'to_offset' | 'since' | 'until' | 'events'
>

/** Without those that hold nothing. @throws API_INVALID_REQUEST, API_NOT_FOUND, and what log and archive throw */
export async function replayRanges(
  deps: RangeDeps,
  topic: Topic,
  asked: AskedRange,
): Promise<readonly ReplayRange[]> {
  const ranges =
    asked.events === undefined
      ? await rangesOfPartitions(deps, topic, asked)
      : rangesOfEvents(topic, await eventsOf(deps, asked.events))
  const found = ranges.filter(({ first, end }) => first < end)
  await Promise.all(found.map((range) => requireReadable(deps, topic, range)))
  return found
}

async function rangesOfPartitions(
  deps: RangeDeps,
  topic: Topic,
  asked: AskedRange,
): Promise<readonly ReplayRange[]> {
  const { partition: only } = asked
  if (only !== undefined && only >= topic.partitions)
    throw invalid(`partition: ${topic.name} has ${topic.partitions} partitions, counted from 0`)
  const partitions = only === undefined ? Array.from({ length: topic.partitions }, (_, n) => n) : [only]
  const place = (partition: number) => ({ topic: topic.name, topicId: topic.id, partition })
  return Promise.all(partitions.map((partition) => rangeOf(deps, place(partition), asked)))
}

async function rangeOf(
  { log, store }: RangeDeps,
  at: TopicPartition,
  { from_offset: from, to_offset: to, since, until }: AskedRange,
): Promise<ReplayRange> {
  const { topicId, partition } = at
  const positions = await store.positions(topicId, partition)
  const indexed = positions.find(({ handler }) => handler === INDEX_HANDLER)?.next ?? 0n
  const first = since === undefined ? (from ?? 0n) : await log.offsetSince(at, BigInt(since))
  const asked =
    until === undefined
      ? (to ?? indexed) + (to === undefined ? 0n : 1n)
      : await log.offsetSince(at, BigInt(until))
  return { topicId, partition, first, end: asked < indexed ? asked : indexed }
}

async function eventsOf({ store }: RangeDeps, ids: readonly string[]): Promise<readonly EventView[]> {
  const events: EventView[] = []
  for (const id of ids) {
    const event = await store.getEvent(id)
    if (event === null) throw new HooktrailError('API_NOT_FOUND', { id })
    events.push(event)
  }
  return events
}

/** In each partition from the first of them to the last: the planner passes over what lies between. */
function rangesOfEvents(topic: Topic, events: readonly EventView[]): readonly ReplayRange[] {
  const ranges = new Map<string, ReplayRange>()
  for (const { eventId, topic: name, topicId, partition, offset } of events) {
    if (name !== topic.name) throw invalid(`events: ${eventId} lies in ${name}, not in ${topic.name}`)
    const known = ranges.get(`${topicId}/${partition}`) ?? { first: offset, end: offset + 1n }
    ranges.set(`${topicId}/${partition}`, {
      ...{ topicId, partition },
      first: offset < known.first ? offset : known.first,
      end: offset >= known.end ? offset + 1n : known.end,
    })
  }
  return [...ranges.values()]
}

/** What cannot be read is told now, not by a replay that waits. */
async function requireReadable(
  { log }: RangeDeps,
  { name }: Topic,
  { topicId, partition, first }: ReplayRange,
): Promise<void> {
  const bounds = { recordsMax: 1, bytesMax: LOOK_BYTES, waitMsMax: LOOK_WAIT_MS }
  await log.read({ topic: name, topicId, partition, from: first, ...bounds })
}

function invalid(fault: string): HooktrailError {
  return new HooktrailError('API_INVALID_REQUEST', { faults: [fault] })
}
