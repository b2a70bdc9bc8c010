/**
 * A record on its way into a format that is not lines: its topic's name and the preimage of its leaf, which holds
 * everything else, each with its length. Only ever written to a spool and read again by the same process.
 */
import assert from 'node:assert/strict'
import type { LogRecord, RecordHeader, TimestampType, TopicPartition } from '../../ports/event-log.ts'
import { leafPreimage, PREIMAGE_PREFIX } from '../leaf.ts'
import type { DecodedRow } from '../row.ts'

const NULL_LENGTH = 0xffffffff
/** The preimage as it is told, without the prefix of its hash. */
const TOPIC_ID_AT = PREIMAGE_PREFIX.length - 1

export function frameOf(record: LogRecord, at: TopicPartition): Buffer {
  const topic = Buffer.from(at.topic)
  const preimage = leafPreimage(record, at)
  const frame = Buffer.allocUnsafe(8 + topic.length + preimage.length)
  frame.writeUInt32BE(frame.length - 4, 0)
  frame.writeUInt32BE(topic.length, 4)
  topic.copy(frame, 8)
  preimage.copy(frame, 8 + topic.length)
  return frame
}

/** Records of a stream of frames, whatever the chunks are cut like. Their bytes are parts of the chunks. */
export class FrameSplitter {
  #held: Buffer = Buffer.alloc(0)

  end(): void {
    assert.equal(this.#held.length, 0, 'the last frame is whole')
  }

  *push(chunk: Buffer): Generator<{ readonly row: DecodedRow; readonly bytes: number }> {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    let start = 0
    while (start + 4 <= bytes.length) {
      const end = start + 4 + bytes.readUInt32BE(start)
      if (end > bytes.length) break
      yield { row: rowIn(bytes.subarray(start + 4, end)), bytes: end - start }
      start = end
    }
    this.#held = bytes.subarray(start)
  }
}

function rowIn(frame: Buffer): DecodedRow {
  const topicEnd = 4 + frame.readUInt32BE(0)
  const cursor = new Cursor(frame, topicEnd + TOPIC_ID_AT)
  const at = {
    topic: frame.toString('utf8', 4, topicEnd),
    topicId: cursor.take(16).toString('hex'),
    partition: cursor.uint32(),
  }
  const record = {
    offset: cursor.take(8).readBigUInt64BE(),
    timestampMs: cursor.take(8).readBigInt64BE(),
    timestampType: timestampTypeOf(cursor.take(1)),
    key: cursor.field(),
    value: cursor.field(),
    headers: Array.from({ length: cursor.uint32() }, (): RecordHeader => {
      const name = cursor.field()?.toString('utf8') ?? ''
      return { name, value: cursor.field() }
    }),
  }
  return { record, at }
}

function timestampTypeOf(byte: Buffer): TimestampType {
  return byte[0] === 0 ? 0 : 1
}

class Cursor {
  readonly #bytes: Buffer
  #next: number

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes
    this.#next = start
  }

  take(length: number): Buffer {
    const start = this.#next
    this.#next += length
    assert(this.#next <= this.#bytes.length, 'the frame holds its fields')
    return this.#bytes.subarray(start, this.#next)
  }

  uint32(): number {
    return this.take(4).readUInt32BE()
  }

  field(): Buffer | null {
    const length = this.uint32()
    return length === NULL_LENGTH ? null : this.take(length)
  }
}
