/**
 * Kafka's Fetch of one partition, versions 11 to 17, with the record batches left as bytes: the client's own form of it
 * neither checks their checksums nor keeps what tells a gap's reason. Up to version 12 the topic goes by its name, from
 * 13 on by its id, so that another topic of the same name cannot answer.
 */
import { createAPI, Writer, type API, type Reader } from '@platformatic/kafka'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import { READ_COMMITTED } from './cluster.ts'

export interface FetchRequest {
  readonly at: TopicPartition
  readonly from: bigint
  /** Soft: the first batch comes whole, however large it is. */
  readonly bytesMax: number
  readonly waitMs: number
}

export interface FetchedPartition {
  readonly version: number
  readonly errorCode: number
  /** First offset of an open transaction, else the high watermark. */
  readonly lastStable: bigint
  readonly logStart: bigint
  readonly aborted: readonly AbortedTransaction[]
  readonly batches: Buffer
}

export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: bigint
}

const FETCH = 1
const FLEXIBLE_FROM = 12
export const FETCH_BY_ID_FROM = 13
const WITHOUT_REPLICA_FROM = 15
const VERSION_MAX = 17
const CONSUMER = -1
const NO_SESSION = -1
const NO_EPOCH = -1
const EMPTY = Buffer.alloc(0)

export function fetchApis(
  versionMax: number = VERSION_MAX,
): readonly API<[FetchRequest], FetchedPartition>[] {
  return [11, 12, 13, 14, 15, 16, 17]
    .filter((version) => version <= versionMax)
    .map((version) => {
      const flexible = version >= FLEXIBLE_FROM
      const createRequest = (request: FetchRequest): Writer => encodeRequest(version, request)
      return createAPI(FETCH, version, createRequest, parseResponse, flexible, flexible)
    })
}

function encodeRequest(version: number, { at, from, bytesMax, waitMs }: FetchRequest): Writer {
  const flexible = version >= FLEXIBLE_FROM
  const writer = Writer.create()
  if (version < WITHOUT_REPLICA_FROM) writer.appendInt32(CONSUMER)
  writer.appendInt32(waitMs).appendInt32(1).appendInt32(bytesMax).appendInt8(READ_COMMITTED)
  writer.appendInt32(0).appendInt32(NO_SESSION)
  const encodePartition = (entry: Writer): void => {
    entry.appendInt32(at.partition).appendInt32(NO_EPOCH).appendInt64(from)
    if (version >= FLEXIBLE_FROM) entry.appendInt32(NO_EPOCH)
    entry.appendInt64(-1n).appendInt32(bytesMax)
  }
  const encodeTopic = (entry: Writer): void => {
    if (version >= FETCH_BY_ID_FROM) entry.appendUUID(at.topicId)
    else entry.appendString(at.topic, flexible)
    entry.appendArray([null], encodePartition, flexible, flexible)
  }
  writer.appendArray([null], encodeTopic, flexible, flexible)
  writer.appendArray([], () => undefined, flexible, flexible).appendString('', flexible)
  return flexible ? writer.appendTaggedFields() : writer
}

function parseResponse(
  _correlationId: number,
  _key: number,
  version: number,
  reader: Reader,
): FetchedPartition {
  const flexible = version >= FLEXIBLE_FROM
  reader.readInt32()
  const errorCode = reader.readInt16()
  reader.readInt32()
  const [topic] = reader.readArray(
    (entry) => {
      if (version >= FETCH_BY_ID_FROM) entry.readUUID()
      else entry.readString(flexible)
      return entry.readArray((each) => parsePartition(version, each), flexible, flexible)
    },
    flexible,
    flexible,
  )
  const [partition] = topic ?? []
  if (errorCode === 0 && partition !== undefined) return partition
  return { version, errorCode, lastStable: -1n, logStart: -1n, aborted: [], batches: EMPTY }
}

function parsePartition(version: number, reader: Reader): FetchedPartition {
  const flexible = version >= FLEXIBLE_FROM
  reader.readInt32()
  const errorCode = reader.readInt16()
  reader.readInt64()
  const [lastStable, logStart] = [reader.readInt64(), reader.readInt64()]
  const aborted = reader.readArray(
    (entry) => ({ producerId: entry.readInt64(), firstOffset: entry.readInt64() }),
    flexible,
    flexible,
  )
  reader.readInt32()
  const batches = reader.readBytes(flexible)
  return { version, errorCode, lastStable, logStart, aborted, batches }
}
