/**
 * Topics of a log that travelled back with its database: they end before what the archive signed, or go on otherwise
 * behind it. The archive is the witness. What both hold is one history up to an offset, from which on only the archive
 * tells what was; what the log has from there on is newer, and goes on under another topic id. A log whose records are
 * older than the archive's is no copy of an earlier time, and is not named here.
 */
import type { SignedEnd } from '../archive/range/signed-ends.ts'
import type { EventLog, ReadRequest, ReadResult, Topic, TopicPartition } from '../ports/event-log.ts'

const ARCHIVE_WAIT_MS = 10_000

export interface LogWitness {
  readonly log: Pick<EventLog, 'topics' | 'bounds' | 'read'>
  /** From the archive alone; an answer without records is asked again. */
  readonly readArchived: (request: ReadRequest) => Promise<ReadResult>
}

export interface TravelledTopic {
  readonly topic: Topic
  /** By partition: the first offset that is not of the history which the archive holds. */
  readonly keptFrom: readonly bigint[]
}

/** @param ends by the archive, of every topic */
export async function travelledTopics(
  witness: LogWitness,
  ends: readonly SignedEnd[],
): Promise<readonly TravelledTopic[]> {
  const found: TravelledTopic[] = []
  for (const topic of await witness.log.topics()) {
    const own = ends.filter(({ topicId }) => topicId === topic.id)
    const checks = await Promise.all(own.map((end) => checkPartition(witness, end)))
    if (!checks.some(({ hasTravelled }) => hasTravelled)) continue
    const from = new Map(checks.map(({ partition, keptFrom }) => [partition, keptFrom]))
    const keptFrom = Array.from({ length: topic.partitions }, (_, partition) => from.get(partition) ?? 0n)
    found.push({ topic, keptFrom })
  }
  return found
}

interface PartitionCheck {
  readonly partition: number
  readonly hasTravelled: boolean
  readonly keptFrom: bigint
}

async function checkPartition(witness: LogWitness, end: SignedEnd): Promise<PartitionCheck> {
  const { topic, topicId, partition, archivedTo } = end
  const at = { topic, topicId, partition }
  const { logStart, highWatermark } = await witness.log.bounds(at)
  const limit = highWatermark < archivedTo ? highWatermark : archivedTo
  const isShort = highWatermark < end.highWatermark
  const differs = limit > logStart ? await compare(witness, at, limit - 1n) : 'same'
  if (differs === 'older') return { partition, hasTravelled: false, keptFrom: limit }
  const keptFrom = differs === 'same' ? limit : await firstOther(witness, at, { low: logStart, high: limit })
  return { partition, hasTravelled: isShort || differs === 'newer', keptFrom }
}

/** Both histories are the same before one offset, and nowhere behind it. */
async function firstOther(
  witness: LogWitness,
  at: TopicPartition,
  { low, high }: { low: bigint; high: bigint },
): Promise<bigint> {
  while (low < high) {
    const middle = low + (high - low) / 2n
    if ((await compare(witness, at, middle)) === 'same') low = middle + 1n
    else high = middle
  }
  return low
}

/** The log's record at an offset against the archive's. The log's time never goes back, so it tells which was later. */
async function compare(
  { log, readArchived }: LogWitness,
  at: TopicPartition,
  offset: bigint,
): Promise<'same' | 'newer' | 'older'> {
  const request = { ...at, from: offset, recordsMax: 1, bytesMax: 1 }
  const [logged] = (await log.read({ ...request, waitMsMax: 0 })).records
  const archived = await readOne({ log, readArchived }, request)
  const [record] = archived.records
  if (record === undefined || record.offset !== offset) {
    const [gap] = archived.gaps
    return gap?.reason === 'log-travelled-back' ? 'newer' : 'same'
  }
  if (logged?.offset !== offset || logged.timestampMs === record.timestampMs) return 'same'
  return logged.timestampMs > record.timestampMs ? 'newer' : 'older'
}

async function readOne(
  { readArchived }: LogWitness,
  request: Omit<ReadRequest, 'waitMsMax'>,
): Promise<ReadResult> {
  for (;;) {
    const result = await readArchived({ ...request, waitMsMax: ARCHIVE_WAIT_MS })
    if (result.next > request.from) return result
  }
}
