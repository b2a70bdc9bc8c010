/**
 * Columns of a Parquet object (docs/formats.md, "Rows: parquet"): a flat schema with types of its own for offset, times and
 * bytes. Seven columns hold what the leaf is computed from, exactly; the others repeat it for queries, and reading back
 * ignores them.
 */
import assert from 'node:assert/strict'
import type { SchemaElement } from 'hyparquet'
import type { ColumnSource } from 'hyparquet-writer'
import type { LeafRecord } from '../leaf.ts'
import type { LogRecord, TopicPartition } from '../../ports/event-log.ts'
import { promotedText, readHeaders, readHeadersForLeaf, writeHeaders, type DecodedRow } from '../row.ts'

type Cell = string | number | bigint | Uint8Array | Date | null

interface Column {
  readonly element: SchemaElement
  /** Of what is large or without order least and greatest are of no use. */
  readonly hasBounds: boolean
  /** Hardly a value occurs twice: no dictionary is looked for. */
  readonly isDistinct: boolean
  readonly cell: (row: DecodedRow) => Cell
}

export const PARQUET_CODEC = 'ZSTD'

const TIME_MS_MAX = 8_640_000_000_000_000n

const STRING = {
  type: 'BYTE_ARRAY',
  converted_type: 'UTF8',
  logical_type: { type: 'STRING' },
} satisfies Partial<SchemaElement>
const TIME = {
  type: 'INT64',
  converted_type: 'TIMESTAMP_MILLIS',
  logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
} satisfies Partial<SchemaElement>

const columns: readonly Column[] = [
  required('topic', STRING, ({ at }) => at.topic),
  required('topic_id', STRING, ({ at }) => at.topicId),
  required('partition', { type: 'INT32' }, ({ at }) => at.partition),
  required('offset', { type: 'INT64' }, ({ record }) => record.offset),
  optional('timestamp', TIME, ({ record }) => timeOf(record.timestampMs)),
  required('timestamp_ms', { type: 'INT64' }, ({ record }) => record.timestampMs),
  required('timestamp_type', { type: 'INT32' }, ({ record }) => record.timestampType),
  bytes('key', ({ record }) => record.key),
  bytes('value', ({ record }) => record.value),
  {
    ...required('headers', STRING, ({ record }) => writeHeaders(record.headers)),
    hasBounds: false,
    isDistinct: true,
  },
  { ...promoted('event_id'), isDistinct: true },
  promoted('source'),
  promoted('event_type'),
  { ...promoted('unique_key'), isDistinct: true },
  optional('received_at', TIME, ({ record }) => timeOfText(promotedText(record.headers, 'received_at'))),
]

export const PARQUET_SCHEMA: SchemaElement[] = [
  { name: 'hooktrail', num_children: columns.length },
  ...columns.map(({ element }) => element),
]

/** What is read back. */
export const EXACT_COLUMNS = [
  ...['topic', 'topic_id', 'partition', 'offset', 'timestamp_ms', 'timestamp_type'],
  ...['key', 'value', 'headers'],
]

export function columnsOf(rows: readonly DecodedRow[]): ColumnSource[] {
  return columns.map(({ element: { name }, hasBounds, isDistinct, cell }) => ({
    name,
    data: rows.map(cell),
    statistics: hasBounds,
    offsetIndex: false,
    ...(isDistinct ? { encoding: 'PLAIN' as const } : {}),
  }))
}

/** @throws AssertionError, SyntaxError when it is no such row */
export function rowOf(cells: Readonly<Record<string, unknown>>): DecodedRow {
  const { headers, at, ...record } = exactCells(cells)
  return { record: { ...record, headers: readHeaders(headers) }, at }
}

/** As rowOf, for the leaf alone: text stays text. @throws AssertionError, SyntaxError */
export function rowForLeaf(cells: Readonly<Record<string, unknown>>): DecodedRow<LeafRecord> {
  const { headers, at, ...record } = exactCells(cells)
  return { record: { ...record, headers: readHeadersForLeaf(headers) }, at }
}

interface ExactCells extends Omit<LogRecord, 'headers'> {
  readonly headers: string
  readonly at: TopicPartition
}

function exactCells(cells: Readonly<Record<string, unknown>>): ExactCells {
  const { topic, topic_id: topicId, partition, offset, timestamp_ms: timestampMs } = cells
  const { timestamp_type: timestampType, headers } = cells
  assert(typeof topic === 'string' && typeof topicId === 'string' && typeof headers === 'string')
  assert(typeof partition === 'number' && typeof offset === 'bigint' && typeof timestampMs === 'bigint')
  assert(timestampType === 0 || timestampType === 1)
  const [key, value] = [bytesOf(cells['key']), bytesOf(cells['value'])]
  const at = { topic, topicId, partition }
  return { offset, timestampMs, timestampType, key, value, headers, at }
}

function required(name: string, type: Partial<SchemaElement>, cell: Column['cell']): Column {
  return { element: { name, repetition_type: 'REQUIRED', ...type }, hasBounds: true, isDistinct: false, cell }
}

function optional(name: string, type: Partial<SchemaElement>, cell: Column['cell']): Column {
  return { element: { name, repetition_type: 'OPTIONAL', ...type }, hasBounds: true, isDistinct: false, cell }
}

function bytes(name: string, cell: Column['cell']): Column {
  return { ...optional(name, { type: 'BYTE_ARRAY' }, cell), hasBounds: false, isDistinct: true }
}

function promoted(name: 'event_id' | 'source' | 'event_type' | 'unique_key'): Column {
  return optional(name, STRING, ({ record }) => promotedText(record.headers, name))
}

/** Null beyond what a date can hold, as in the other formats. */
function timeOf(timestampMs: bigint): Date | null {
  const isDate = timestampMs <= TIME_MS_MAX && timestampMs >= -TIME_MS_MAX
  return isDate ? new Date(Number(timestampMs)) : null
}

function timeOfText(text: string | null): Date | null {
  const time = new Date(text ?? NaN)
  return Number.isNaN(time.getTime()) ? null : time
}

function bytesOf(cell: unknown): Buffer | null {
  if (cell === null || cell === undefined) return null
  assert(cell instanceof Uint8Array, 'bytes are bytes')
  return Buffer.from(cell.buffer, cell.byteOffset, cell.byteLength)
}
