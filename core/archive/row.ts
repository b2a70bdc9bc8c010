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

/** JSON of header names: there are a dozen, the same in every record; what a stranger's records add is not kept. */
const NAMES_KEPT_MAX = 256
const nameJson = new Map<string, string>()

/** Columns that repeat a header. */
export type PromotedColumn = 'event_id' | 'source' | 'event_type' | 'unique_key' | 'received_at'

/** Ends in a newline. */
export function encodeRow(record: LogRecord, at: TopicPartition): Buffer {
  return Buffer.from(
    `{"topic":${JSON.stringify(at.topic)},"topic_id":"${at.topicId}","partition":${String(at.partition)}` +
      `,"offset":"${String(record.offset)}","timestamp":${isoTime(record.timestampMs)}` +
      `,"timestamp_ms":"${String(record.timestampMs)}","timestamp_type":${String(record.timestampType)}` +
      bytesFields('key', record.key) +
      bytesFields('value', record.value) +
      `,"headers":${writeHeaders(record.headers)}${promotedFields(record.headers)}}\n`,
  )
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

function isoTime(timestampMs: bigint): string {
  if (timestampMs > TIME_LIMIT_MS || timestampMs < -TIME_LIMIT_MS) return 'null'
  return `"${new Date(Number(timestampMs)).toISOString()}"`
}

function isText(bytes: Buffer): boolean {
  return isUtf8(bytes) && !bytes.includes(0)
}

function bytesFields(name: string, bytes: Buffer | null): string {
  if (bytes === null) return `,"${name}":null,"${name}_base64":null`
  if (isText(bytes)) return `,"${name}":${JSON.stringify(bytes.toString('utf8'))},"${name}_base64":null`
  return `,"${name}":null,"${name}_base64":"${bytes.toString('base64')}"`
}

/** As in the row's field `headers`. */
export function writeHeaders(headers: readonly RecordHeader[]): string {
  let out = ''
  for (const { name, value } of headers) {
    const start = `${out === '' ? '' : ','}[${nameToJson(name)},`
    if (value === null) out += `${start}null]`
    else if (isText(value)) out += `${start}${JSON.stringify(value.toString('utf8'))}]`
    else out += `${start}null,"${value.toString('base64')}"]`
  }
  return `[${out}]`
}

/** @throws AssertionError, SyntaxError when the text is no list of headers */
export function readHeaders(text: string): RecordHeader[] {
  return checkHeaders(JSON.parse(text)).map(([name, value, base64]) => ({
    name,
    value: bytesOf(value, base64 ?? null),
  }))
}

/** What queries find in columns of their own. */
export function promotedTexts(
  headers: readonly RecordHeader[],
): Readonly<Record<PromotedColumn, string | null>> {
  const text = (name: string): string | null => promotedText(headers, name)
  return {
    event_id: text(EVENT_HEADERS.id),
    source: text(EVENT_HEADERS.source),
    event_type: text(EVENT_HEADERS.type),
    unique_key: text(EVENT_HEADERS.dedup),
    received_at: text(EVENT_HEADERS.time),
  }
}

function nameToJson(name: string): string {
  const known = nameJson.get(name)
  if (known !== undefined) return known
  const json = JSON.stringify(name.toWellFormed())
  if (nameJson.size < NAMES_KEPT_MAX) nameJson.set(name, json)
  return json
}

function promotedFields(headers: readonly RecordHeader[]): string {
  let out = ''
  for (const [column, text] of Object.entries(promotedTexts(headers)))
    out += `,"${column}":${JSON.stringify(text)}`
  return out
}

function promotedText(headers: readonly RecordHeader[], name: string): string | null {
  const value = headers.find((header) => header.name === name)?.value ?? null
  const text = value === null || !isText(value) ? null : value.toString('utf8')
  return name === EVENT_HEADERS.source && text?.startsWith(SOURCE_PREFIX)
    ? text.slice(SOURCE_PREFIX.length)
    : text
}

function bytesOf(text: string | null, base64: string | null): Buffer | null {
  if (text !== null) return Buffer.from(text, 'utf8')
  return base64 === null ? null : Buffer.from(base64, 'base64')
}
