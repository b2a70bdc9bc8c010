/**
 * Kafka's Metadata, versions 10 to 12: brokers, leaders and topic ids. The client's own parser throws for the whole
 * answer when one topic is unknown; here a topic that has an error is simply not in the answer.
 */
import { createAPI, Writer, type API, type Broker, type Reader } from '@platformatic/kafka'
import type { TopicId } from '../../core/ports/event-log.ts'

export interface ClusterView {
  readonly brokers: ReadonlyMap<number, Broker>
  readonly topics: ReadonlyMap<string, TopicView>
}

export interface TopicView {
  readonly name: string
  readonly id: TopicId
  readonly isInternal: boolean
  readonly partitions: readonly PartitionView[]
}

export interface PartitionView {
  readonly partition: number
  /** -1 while none is elected. */
  readonly leader: number
  readonly replicas: number
}

const METADATA = 3

/** Names of topics, or null for all. */
export const metadataApis: readonly API<[names: readonly string[] | null], ClusterView>[] = [10, 11, 12].map(
  (version) =>
    createAPI(METADATA, version, (names: readonly string[] | null) => request(version, names), parse),
)

function request(version: number, names: readonly string[] | null): Writer {
  const writer = Writer.create()
    .appendArray(names === null ? null : [...names], (entry, name) => {
      entry.appendUUID(null).appendString(name)
    })
    .appendBoolean(false)
  if (version <= 10) writer.appendBoolean(false)
  return writer.appendBoolean(false).appendTaggedFields()
}

function parse(_correlationId: number, _key: number, _version: number, reader: Reader): ClusterView {
  reader.readInt32()
  const brokers = reader.readArray((entry) => {
    const nodeId = entry.readInt32()
    const broker = { host: entry.readString(), port: entry.readInt32() }
    entry.readNullableString()
    return [nodeId, broker] as const
  })
  reader.readNullableString()
  reader.readInt32()
  const topics = reader
    .readArray(parseTopic)
    .flatMap(({ errorCode, topic }) => (errorCode === 0 ? topic : []))
  return { brokers: new Map(brokers), topics: new Map(topics.map((topic) => [topic.name, topic])) }
}

function parseTopic(reader: Reader): { errorCode: number; topic: TopicView } {
  const errorCode = reader.readInt16()
  const name = reader.readNullableString() ?? ''
  const id = reader.readUUID().replaceAll('-', '')
  const isInternal = reader.readBoolean()
  const partitions = reader.readArray(parsePartition).sort((a, b) => a.partition - b.partition)
  reader.readInt32()
  return { errorCode, topic: { name, id, isInternal, partitions } }
}

function parsePartition(reader: Reader): PartitionView {
  reader.readInt16()
  const [partition, leader] = [reader.readInt32(), reader.readInt32()]
  reader.readInt32()
  const nodes = (): number[] => reader.readArray((entry) => entry.readInt32(), true, false)
  const replicas = nodes().length
  nodes()
  nodes()
  return { partition, leader, replicas }
}
