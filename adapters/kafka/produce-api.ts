/**
 * Kafka's Produce, versions 7 to 13: acks = all, batches already encoded. The client's own producer hides the time at
 * which the log took a record and shares one sequence state over all partitions; both matter here (appender.ts).
 */
import { createAPI, ProduceAcks, Writer, type API, type Reader } from '@platformatic/kafka'
import type { TopicPartition } from '../../core/ports/event-log.ts'

export interface ProduceBatch {
  readonly at: TopicPartition
  readonly batch: Buffer
}

export interface ProducedPartition {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly baseOffset: bigint
  /** -1 where the topic keeps the producer's time. */
  readonly logAppendTimeMs: bigint
}

export interface ProduceAnswer {
  readonly version: number
  /** `topic` is the topic's name before PRODUCE_BY_ID_FROM, its id from there on. */
  readonly partitions: readonly ProducedPartition[]
}

const PRODUCE = 0
const FLEXIBLE_FROM = 9
const ERROR_TEXTS_FROM = 8
export const PRODUCE_BY_ID_FROM = 13
const VERSION_MAX = 13
/** How long the leader waits for its replicas; less than the client waits for the leader. */
const REPLICAS_MS_MAX = 5_000

export function produceApis(
  versionMax: number = VERSION_MAX,
): readonly API<[readonly ProduceBatch[]], ProduceAnswer>[] {
  return [7, 8, 9, 10, 11, 12, 13]
    .filter((version) => version <= versionMax)
    .map((version) => {
      const flexible = version >= FLEXIBLE_FROM
      const createRequest = (batches: readonly ProduceBatch[]): Writer => encodeRequest(version, batches)
      return createAPI(PRODUCE, version, createRequest, parseResponse, flexible, flexible)
    })
}

function encodeRequest(version: number, batches: readonly ProduceBatch[]): Writer {
  const flexible = version >= FLEXIBLE_FROM
  const topics = [...Map.groupBy(batches, ({ at }) => at.topicId).values()]
  const writer = Writer.create()
    .appendString(null, flexible)
    .appendInt16(ProduceAcks.ALL)
    .appendInt32(REPLICAS_MS_MAX)
    .appendArray(
      topics,
      (entry, partitions) => {
        const [first] = partitions
        if (version >= PRODUCE_BY_ID_FROM) entry.appendUUID(first?.at.topicId ?? null)
        else entry.appendString(first?.at.topic ?? null, flexible)
        entry.appendArray(partitions, encodePartition(flexible), flexible, flexible)
      },
      flexible,
      flexible,
    )
  return flexible ? writer.appendTaggedFields() : writer
}

function encodePartition(flexible: boolean): (entry: Writer, batch: ProduceBatch) => void {
  return (entry, { at, batch }) => {
    entry.appendInt32(at.partition)
    if (flexible) entry.appendUnsignedVarInt(batch.length + 1)
    else entry.appendInt32(batch.length)
    entry.append(batch)
  }
}

function parseResponse(_correlationId: number, _key: number, version: number, reader: Reader): ProduceAnswer {
  const flexible = version >= FLEXIBLE_FROM
  const topics = reader.readArray(
    (entry) => {
      const topic =
        version >= PRODUCE_BY_ID_FROM ? entry.readUUID().replaceAll('-', '') : entry.readString(flexible)
      return entry.readArray((each) => parsePartition(version, topic, each), flexible, flexible)
    },
    flexible,
    flexible,
  )
  return { version, partitions: topics.flat() }
}

function parsePartition(version: number, topic: string, reader: Reader): ProducedPartition {
  const flexible = version >= FLEXIBLE_FROM
  const produced = {
    topic,
    partition: reader.readInt32(),
    errorCode: reader.readInt16(),
    baseOffset: reader.readInt64(),
    logAppendTimeMs: reader.readInt64(),
  }
  reader.readInt64()
  if (version >= ERROR_TEXTS_FROM) {
    const readError = (entry: Reader): void => {
      entry.readInt32()
      entry.readNullableString(flexible)
    }
    reader.readArray(readError, flexible, flexible)
    reader.readNullableString(flexible)
  }
  return produced
}
