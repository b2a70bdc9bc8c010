/**
 * One record as one JSONL row, loss-free: the leaf can be computed again from the row alone. Bytes are text only when
 * they are valid UTF-8 without NUL (databases cut there), else base64 in a field of its own. The promoted columns repeat
 * headers for convenience of queries; reading back ignores them.
 */
import { isUtf8 } from 'node:buffer'
import { HooktrailError } from '../error/hooktrail-error.ts'
import type { LogRecord, RecordHeader, TopicPartition } from '../ports/event-log.ts'
import { EVENT_HEADERS } from '../record/event-record.ts'
import type { LeafRecord } from './leaf.ts'
import { checkHeaders, checkRow } from './row-schema.ts'

const TIME_LIMIT_MS = 8_640_000_000_000_000n

/** Before the source's name in ce_source. */
const SOURCE_PREFIX = '/hooktrail/'

/** Columns that repeat a header, and which. */
const PROMOTED = {
  event_id: EVENT_HEADERS.id,
  source: EVENT_HEADERS.source,
  event_type: EVENT_HEADERS.type,
  unique_key: EVENT_HEADERS.dedup,
  received_at: EVENT_HEADERS.time,
} as const

export type PromotedColumn = keyof typeof PROMOTED

/** Ends in a newline. */
export function encodeRow(record: LogRecord, at: TopicPartition): Buffer {
  const [key, value] = [fieldOf(record.key), fieldOf(record.value)]
  const headers = record.headers.map(({ name, value: bytes }) => ({ name, ...fieldOf(bytes) }))
  const promoted = (column: PromotedColumn): string | null =>
    promotedOf(column, headers.find(({ name }) => name === PROMOTED[column])?.text ?? null)
  const row = {
    topic: at.topic,
    topic_id: at.topicId,
    partition: at.partition,
    offset: String(record.offset),
    timestamp: isoTime(record.timestampMs),
    timestamp_ms: String(record.timestampMs),
    timestamp_type: record.timestampType,
    key: key.text,
    key_base64: key.base64,
    value: value.text,
    value_base64: value.base64,
    headers: headers.map(headerField),
    event_id: promoted('event_id'),
    source: promoted('source'),
    event_type: promoted('event_type'),
    unique_key: promoted('unique_key'),
    received_at: promoted('received_at'),
  }
  return Buffer.from(`${JSON.stringify(row)}\n`)
}

export interface DecodedRow<R = LogRecord> {
  readonly record: R
  readonly at: TopicPartition
}

/** @throws ARCHIVE_ROW_INVALID */
export function decodeRow(line: string): DecodedRow {
  return decodeWith(bytesOf, line)
}

/** As decodeRow, for the leaf alone: text stays text. @throws ARCHIVE_ROW_INVALID */
export function decodeRowForLeaf(line: string): DecodedRow<LeafRecord> {
  return decodeWith((text, base64) => text ?? bytesOf(null, base64), line)
}

type FieldDecoder<B> = (text: string | null, base64: string | null) => B | null

function decodeWith<B>(field: FieldDecoder<B>, line: string) {
  try {
    const row = checkRow(JSON.parse(line))
    const record = {
      offset: BigInt(row.offset),
      timestampMs: BigInt(row.timestamp_ms),
      timestampType: row.timestamp_type,
      key: field(row.key, row.key_base64),
      value: field(row.value, row.value_base64),
      headers: row.headers.map(([name, text, base64]) => ({ name, value: field(text, base64 ?? null) })),
    }
    return { record, at: { topic: row.topic, topicId: row.topic_id, partition: row.partition } }
  } catch (error) {
    throw new HooktrailError('ARCHIVE_ROW_INVALID', { reason: 'not a row' }, error)
  }
}

/** Records of a batch have one time. */
let lastTime = { timestampMs: 0n, iso: '1970-01-01T00:00:00.000Z' }

function isoTime(timestampMs: bigint): string | null {
  if (timestampMs > TIME_LIMIT_MS || timestampMs < -TIME_LIMIT_MS) return null
  if (timestampMs !== lastTime.timestampMs)
    lastTime = { timestampMs, iso: new Date(Number(timestampMs)).toISOString() }
  return lastTime.iso
}

/** Null where the bytes are no text. What is not UTF-8 is read as U+FFFD, which a text may hold, too. */
function textOf(bytes: Buffer): string | null {
  const text = bytes.toString('utf8')
  if (text.includes('\0') || (text.includes('\uFFFD') && !isUtf8(bytes))) return null
  return text
}

interface Field {
  readonly text: string | null
  readonly base64: string | null
}

function fieldOf(bytes: Buffer | null): Field {
  const text = bytes === null ? null : textOf(bytes)
  return { text, base64: text === null && bytes !== null ? bytes.toString('base64') : null }
}

function headerField({ name, text, base64 }: Field & Pick<RecordHeader, 'name'>): readonly (string | null)[] {
  const wellFormed = name.toWellFormed()
  return base64 === null ? [wellFormed, text] : [wellFormed, null, base64]
}

/** As in the row's field `headers`. */
export function writeHeaders(headers: readonly RecordHeader[]): string {
  return JSON.stringify(headers.map(({ name, value }) => headerField({ name, ...fieldOf(value) })))
}

/** @throws AssertionError, SyntaxError when the text is no list of headers */
export function readHeaders(text: string): RecordHeader[] {
  return checkHeaders(JSON.parse(text)).map(([name, value, base64]) => ({
    name,
    value: bytesOf(value, base64 ?? null),
  }))
}

/** As readHeaders, for the leaf alone: text stays text. */
export function readHeadersForLeaf(text: string): LeafRecord['headers'] {
  return checkHeaders(JSON.parse(text)).map(([name, value, base64]) => ({
    name,
    value: value ?? bytesOf(null, base64 ?? null),
  }))
}

/** What queries find in a column of its own. */
export function promotedText(headers: readonly RecordHeader[], column: PromotedColumn): string | null {
  const value = headers.find(({ name }) => name === PROMOTED[column])?.value ?? null
  return promotedOf(column, value === null ? null : textOf(value))
}

function promotedOf(column: PromotedColumn, text: string | null): string | null {
  return column === 'source' && text?.startsWith(SOURCE_PREFIX) ? text.slice(SOURCE_PREFIX.length) : text
}

function bytesOf(text: string | null, base64: string | null): Buffer | null {
  if (text !== null) return Buffer.from(text, 'utf8')
  return base64 === null ? null : Buffer.from(base64, 'base64')
}
