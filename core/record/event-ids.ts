/**
 * Ids of events: ULIDs from one monotonic factory for each process, so that they sort by time of receipt even within
 * a millisecond and when the wall clock steps back. A record that somebody else wrote gets an id that every reader
 * derives alike from where the record lies.
 */
import { createHash, randomFillSync } from 'node:crypto'
import { encodeTime, monotonicFactory, TIME_LEN, TIME_MAX } from 'ulid'
import type { Clock } from '../clock.ts'
import type { TopicPartition } from '../ports/event-log.ts'

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const ULID_PATTERN = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/
const RANDOM_BYTES = 10
const RANDOM_LENGTH = 16
const RANDOM_BLOCK_BYTES = 4096

/** One for each process: two factories could give the same millisecond two orders. */
export function createEventIds(clock: Clock): () => string {
  const next = monotonicFactory(createRandom())
  return () => next(clock.now())
}

/** Cryptographic randomness in [0, 1), drawn in blocks: a call for each digit of an id costs more than the request's HMAC. */
function createRandom(): () => number {
  const block = Buffer.alloc(RANDOM_BLOCK_BYTES)
  let used = block.length
  return () => {
    if (used === block.length) {
      randomFillSync(block)
      used = 0
    }
    return block.readUInt8(used++) / 256
  }
}

export function isEventId(text: string): boolean {
  return ULID_PATTERN.test(text)
}

export interface ForeignRecord extends TopicPartition {
  readonly offset: bigint
  readonly timestampMs: bigint
}

/** Time = the record's timestamp (clamped to 48 bits), the rest from SHA-256 over topic id, partition, offset, timestamp. */
export function foreignEventId(record: ForeignRecord): string {
  const { topicId, partition, offset, timestampMs } = record
  const digest = createHash('sha256').update(`${topicId}\n${partition}\n${offset}\n${timestampMs}`).digest()
  const time = timestampMs < 0n ? 0 : timestampMs > BigInt(TIME_MAX) ? TIME_MAX : Number(timestampMs)
  return encodeTime(time, TIME_LEN) + crockford(digest.subarray(0, RANDOM_BYTES))
}

function crockford(bytes: Buffer): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`)
  let text = ''
  for (let digit = 0; digit < RANDOM_LENGTH; digit++) {
    text = CROCKFORD.charAt(Number(rest & 31n)) + text
    rest >>= 5n
  }
  return text
}
