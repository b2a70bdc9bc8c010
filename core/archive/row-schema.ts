/**
 * Shape check of a parsed row, written out by hand: it runs once for every archived event during verification, where
 * a general schema library would cost more than the hashing.
 */
import assert from 'node:assert/strict'
import type { TimestampType } from '../ports/event-log.ts'

export type RowHeader = readonly [name: string, text: string | null, base64?: string | null]

export interface Row {
  readonly topic: string
  readonly topic_id: string
  readonly partition: number
  readonly offset: string
  readonly timestamp_ms: string
  readonly timestamp_type: TimestampType
  readonly key: string | null
  readonly key_base64: string | null
  readonly value: string | null
  readonly value_base64: string | null
  readonly headers: readonly RowHeader[]
}

/** @throws AssertionError when `value` is not a row. */
export function checkRow(value: unknown): Row {
  assert(typeof value === 'object' && value !== null, 'a row is an object')
  const row = value as Record<keyof Row, unknown>
  const ok =
    typeof row.topic === 'string' &&
    typeof row.topic_id === 'string' &&
    typeof row.partition === 'number' &&
    typeof row.offset === 'string' &&
    typeof row.timestamp_ms === 'string' &&
    (row.timestamp_type === 0 || row.timestamp_type === 1) &&
    isTextOrNull(row.key) &&
    isTextOrNull(row.key_base64) &&
    isTextOrNull(row.value) &&
    isTextOrNull(row.value_base64) &&
    Array.isArray(row.headers) &&
    row.headers.every(isHeader)
  assert(ok, 'a field of the row is missing or has the wrong type')
  return value as Row
}

/** @throws AssertionError when `value` is no list of headers. */
export function checkHeaders(value: unknown): readonly RowHeader[] {
  assert(Array.isArray(value) && value.every(isHeader), 'headers are a list of name, text and base64')
  return value as RowHeader[]
}

function isTextOrNull(value: unknown): boolean {
  return value === null || typeof value === 'string'
}

function isHeader(value: unknown): boolean {
  if (!Array.isArray(value) || value.length < 2 || value.length > 3) return false
  return (
    typeof value[0] === 'string' && isTextOrNull(value[1]) && (value.length === 2 || isTextOrNull(value[2]))
  )
}
