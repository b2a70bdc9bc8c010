/**
 * The leaf of a row straight from the bytes of its line, for lines exactly as hooktrail writes them, which are nearly all:
 * reading them as JSON and writing their texts as UTF-8 again costs twice what hashing does. Whatever looks different,
 * escapes a character by its number or holds bytes that are no text is left to the JSON parser, never guessed.
 */
import { isUtf8 } from 'node:buffer'
import type { TopicPartition } from '../../ports/event-log.ts'
import { PREIMAGE_PREFIX } from '../leaf.ts'
import { hashText } from '../merkle.ts'
import type { LeafRow } from '../leaf-row.ts'

/** Of a line that is scanned, and so of its preimage. */
const LINE_BYTES_MAX = 256 * 1024
const NULL_LENGTH = 0xffffffff
/** Digits that a double holds exactly. */
const DIGITS_MAX = 15

const [QUOTE, BACKSLASH, COMMA, OPEN, CLOSE, END, ZERO, NINE, SPACE] = [
  ...[0x22, 0x5c, 0x2c, 0x5b, 0x5d, 0x7d, 0x30, 0x39, 0x20],
] as const
const NULL = Buffer.from('null')
const TIMESTAMP = Buffer.from('","timestamp":')
const TIMESTAMP_MS = Buffer.from(',"timestamp_ms":"')
const TIMESTAMP_TYPE = Buffer.from('","timestamp_type":')
const KEY = Buffer.from(',"key":')
const KEY_BASE64 = Buffer.from(',"key_base64":null,"value":')
const VALUE_BASE64 = Buffer.from(',"value_base64":null,"headers":[')
const PROMOTED = ['event_id', 'source', 'event_type', 'unique_key', 'received_at'].map((name) =>
  Buffer.from(`,"${name}":`),
)
/** By the letter behind a backslash; 0 where JSON knows none, or it is an escape by number. */
const ESCAPED = new Uint8Array(256)
for (const [letter, byte] of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t'])
  ESCAPED[(letter ?? '').charCodeAt(0)] = (byte ?? '').charCodeAt(0)

const scratch = Buffer.allocUnsafe(LINE_BYTES_MAX)
/** Where the last copied text ended in `scratch`. */
let copiedTo = 0

/** Lines of one partition. */
export class RowScanner {
  readonly #at: TopicPartition
  /** Of every line, up to its offset. */
  readonly #begin: Buffer
  /** Of every preimage. */
  readonly #head: Buffer

  constructor(at: TopicPartition) {
    const { topic, topicId, partition } = at
    this.#at = at
    const row = JSON.stringify({ topic, topic_id: topicId, partition, offset: '' })
    this.#begin = Buffer.from(row.slice(0, -2))
    this.#head = Buffer.concat([PREIMAGE_PREFIX, Buffer.from(topicId, 'hex'), Buffer.alloc(4)])
    this.#head.writeUInt32BE(partition, this.#head.length - 4)
  }

  /** Null where the line is to be read as JSON. */
  scan(line: Buffer): LeafRow | null {
    if (line.length > LINE_BYTES_MAX || !isUtf8(line) || !startsWith(line, 0, this.#begin)) return null
    const head = this.#head.length
    this.#head.copy(scratch)
    let at = digitsEnd(line, this.#begin.length)
    const offset = numberIn(line, this.#begin.length, at)
    at = textEnd(line, literal(line, at, TIMESTAMP))
    const timeAt = literal(line, at, TIMESTAMP_MS)
    at = digitsEnd(line, timeAt)
    const timestampMs = numberIn(line, timeAt, at)
    at = literal(line, at, TIMESTAMP_TYPE)
    const type = at < 0 ? -1 : (line[at] ?? 0) - ZERO
    if (offset < 0 || timestampMs < 0 || (type !== 0 && type !== 1)) return null
    writeUInt64(offset, head)
    writeUInt64(timestampMs, head + 8)
    scratch[head + 16] = type
    at = copyField(line, literal(line, at + 1, KEY), head + 17)
    at = copyField(line, literal(line, at, KEY_BASE64), copiedTo)
    at = copyHeaders(line, literal(line, at, VALUE_BASE64), copiedTo)
    const end = copiedTo
    for (const name of PROMOTED) at = textEnd(line, literal(line, at, name))
    if (at < 0 || line[at] !== END || at + 1 !== line.length) return null
    const leaf = hashText(scratch.subarray(0, end))
    return { at: this.#at, offset: BigInt(offset), timestampMs: BigInt(timestampMs), leaf }
  }
}

function startsWith(line: Buffer, from: number, expected: Buffer): boolean {
  for (let i = 0; i < expected.length; i++) if (line[from + i] !== expected[i]) return false
  return true
}

/** Behind the expected bytes; −1 where they are not there, or where something before was not. */
function literal(line: Buffer, from: number, expected: Buffer): number {
  return from >= 0 && startsWith(line, from, expected) ? from + expected.length : -1
}

function digitsEnd(line: Buffer, from: number): number {
  let at = from
  while (at >= 0 && isDigit(line[at])) at++
  return at
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE
}

/** −1 where there is none, or one that a double does not hold. */
function numberIn(line: Buffer, from: number, to: number): number {
  if (from < 0 || to === from || to - from > DIGITS_MAX) return -1
  let value = 0
  for (let at = from; at < to; at++) value = value * 10 + (line[at] ?? 0) - ZERO
  return value
}

/** Behind a text or null that is not copied; −1 where there is neither. */
function textEnd(line: Buffer, from: number): number {
  if (line[from] !== QUOTE) return literal(line, from, NULL)
  for (let at = from + 1; at < line.length; at++) {
    const byte = line[at] ?? 0
    if (byte === QUOTE) return at + 1
    if (byte < SPACE) return -1
    if (byte === BACKSLASH && ESCAPED[line[++at] ?? 0] === 0) return -1
  }
  return -1
}

/** A text or null as length and bytes. @returns where it ends in the line, or −1; `copiedTo` is its end in `scratch` */
function copyField(line: Buffer, from: number, to: number): number {
  if (line[from] === QUOTE) return copyText(line, from + 1, to)
  writeUInt32(NULL_LENGTH, to)
  copiedTo = to + 4
  return literal(line, from, NULL)
}

function copyText(line: Buffer, from: number, to: number): number {
  const out = scratch
  let end = to + 4
  for (let at = from; at < line.length; at++) {
    let byte = line[at] ?? 0
    if (byte === QUOTE) {
      writeUInt32(end - to - 4, to)
      copiedTo = end
      return at + 1
    }
    if (byte < SPACE) return -1
    if (byte === BACKSLASH) {
      byte = ESCAPED[line[++at] ?? 0] ?? 0
      if (byte === 0) return -1
    }
    out[end++] = byte
  }
  return -1
}

/** From behind the opening bracket: `["name","value"]` or `["name",null]`, and nothing else. */
function copyHeaders(line: Buffer, from: number, to: number): number {
  copiedTo = to + 4
  let [at, count] = [from, 0]
  if (at >= 0 && line[at] === CLOSE) at += 1
  else {
    for (let isMore = at >= 0; isMore; count++) {
      if (line[at] !== OPEN || line[at + 1] !== QUOTE) return -1
      at = copyText(line, at + 2, copiedTo)
      if (at < 0 || line[at] !== COMMA) return -1
      at = copyField(line, at + 1, copiedTo)
      if (at < 0 || line[at] !== CLOSE) return -1
      isMore = line[at + 1] === COMMA
      if (!isMore && line[at + 1] !== CLOSE) return -1
      at += 2
    }
  }
  writeUInt32(count, to)
  return at
}

function writeUInt32(value: number, to: number): void {
  scratch[to] = value >>> 24
  scratch[to + 1] = value >>> 16
  scratch[to + 2] = value >>> 8
  scratch[to + 3] = value
}

function writeUInt64(value: number, to: number): void {
  writeUInt32(Math.floor(value / 0x1_0000_0000), to)
  writeUInt32(value % 0x1_0000_0000, to + 4)
}
