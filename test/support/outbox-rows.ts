/**
 * The outbox as a relay finds it. Rows become readable when every older transaction of the whole server has ended, so
 * a test that shares the server with others waits for its own rows.
 */
import assert from 'node:assert/strict'
import type { NotedPosition, OutboxKind, OutboxRow, OutboxStore } from '../../core/ports/outbox-store.ts'
import { eventually } from './installation.ts'

const LIMIT = 100
const WAIT_MS_MAX = 20_000

export async function outboxRows(
  store: OutboxStore,
  kind: OutboxKind,
  atLeast = 1,
): Promise<{ readonly from: NotedPosition; readonly rows: readonly ParsedRow[] }> {
  return eventually(`the outbox shows ${atLeast} ${kind}`, WAIT_MS_MAX, async () => {
    const { from, rows } = await store.readOutbox(kind, LIMIT)
    return rows.length >= atLeast ? { from, rows: rows.map(parseRow) } : null
  })
}

interface ParsedRow extends OutboxRow {
  readonly record: Readonly<Record<string, unknown>>
}

function parseRow(row: OutboxRow): ParsedRow {
  const record: unknown = JSON.parse(row.value)
  assert.ok(isRecord(record), 'the value is a JSON object')
  return { ...row, record }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
