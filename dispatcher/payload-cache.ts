/**
 * Decoded events by their place in the log: filled by planning in the same process, bounded in bytes, oldest batch
 * first out. A miss reads one small batch, once for all who miss it together, from the archive where the log was cut.
 * What comes out is checked against the job's event id, and the log checks the topic id: never another event's bytes (I2).
 */
import type { EventLog, TopicPartition } from '../core/ports/event-log.ts'
import { decodeEvent } from '../core/record/decode-event.ts'
import type { EventRecord } from '../core/record/event-record.ts'

export const CACHE_BYTES_MAX = 16 * 1024 * 1024
/** What an event occupies besides its body: parsed headers, and its share of the buffers that it is a slice of. */
const EVENT_OVERHEAD_BYTES = 4_096
const MISS_RECORDS_MAX = 64
const MISS_BYTES_MAX = 1024 * 1024
/** For what only the archive holds: the log has it at once. Well within a lease's margin. */
const MISS_WAIT_MS_MAX = 10_000

export interface EventPlace extends TopicPartition {
  readonly offset: bigint
  readonly eventId: string
}

interface CachedEvent {
  readonly event: EventRecord
  readonly offset: bigint
}

interface Batch {
  readonly partition: Map<bigint, EventRecord>
  readonly offsets: readonly bigint[]
  readonly bytes: number
}

interface OpenRead {
  readonly key: string
  readonly from: bigint
  readonly done: Promise<void>
}

export class PayloadCache {
  readonly #log: Pick<EventLog, 'read'>
  readonly #bytesMax: number
  readonly #partitions = new Map<string, Map<bigint, EventRecord>>()
  #batches: Batch[] = []
  #evicted = 0
  #bytes = 0
  #reads: readonly OpenRead[] = []

  constructor(log: Pick<EventLog, 'read'>, bytesMax: number = CACHE_BYTES_MAX) {
    this.#log = log
    this.#bytesMax = bytesMax
  }

  put(at: TopicPartition, events: readonly CachedEvent[]): void {
    if (events.length === 0) return
    const key = keyOf(at)
    const partition = this.#partitions.get(key) ?? new Map<bigint, EventRecord>()
    this.#partitions.set(key, partition)
    let bytes = 0
    for (const { offset, event } of events) {
      partition.set(offset, event)
      bytes += event.body.length + EVENT_OVERHEAD_BYTES
    }
    this.#batches.push({ partition, offsets: events.map(({ offset }) => offset), bytes })
    this.#bytes += bytes
    this.#evict()
  }

  /** The event, or null when there is no such event, or the archive has not brought it yet. Rejects as the log does. */
  async get(place: EventPlace): Promise<EventRecord | null> {
    const cached = this.#find(place)
    if (cached !== null) return cached
    await this.#read(place)
    return this.#find(place)
  }

  #find(place: EventPlace): EventRecord | null {
    const event = this.#partitions.get(keyOf(place))?.get(place.offset)
    return event?.id === place.eventId ? event : null
  }

  async #read(place: EventPlace): Promise<void> {
    const key = keyOf(place)
    const covers = (read: OpenRead): boolean =>
      read.key === key && place.offset >= read.from && place.offset < read.from + BigInt(MISS_RECORDS_MAX)
    const open = this.#reads.find(covers)
    if (open !== undefined) {
      await open.done
      // A batch may end early by its bytes; then this event is read for itself.
      if (this.#find(place) !== null) return
    }
    const read: OpenRead = { key, from: place.offset, done: this.#fetch(place) }
    this.#reads = [...this.#reads, read]
    try {
      await read.done
    } finally {
      this.#reads = this.#reads.filter((candidate) => candidate !== read)
    }
  }

  async #fetch(place: EventPlace): Promise<void> {
    const { topic, topicId, partition, offset } = place
    const at = { topic, topicId, partition }
    const bounds = { recordsMax: MISS_RECORDS_MAX, bytesMax: MISS_BYTES_MAX, waitMsMax: MISS_WAIT_MS_MAX }
    const { records } = await this.#log.read({ ...at, from: offset, ...bounds })
    this.put(
      at,
      records.map((record) => ({ offset: record.offset, event: decodeEvent(record, at) })),
    )
  }

  /** The newest batch always stays, however large: somebody is waiting for it. */
  #evict(): void {
    while (this.#bytes > this.#bytesMax && this.#evicted < this.#batches.length - 1) {
      const batch = this.#batches[this.#evicted++]
      if (batch === undefined) return
      for (const offset of batch.offsets) batch.partition.delete(offset)
      this.#bytes -= batch.bytes
    }
    // Shifts in one go, so that evicting stays cheap.
    if (this.#evicted > 256) {
      this.#batches = this.#batches.slice(this.#evicted)
      this.#evicted = 0
    }
  }
}

function keyOf({ topicId, partition }: TopicPartition): string {
  return `${topicId}/${partition}`
}
