/**
 * The job store of one database into an empty one, in one transaction there: everything that is not the log goes along,
 * slices by their bounds, and with it the mark that the new side is whole. Transaction ids mean nothing in another
 * server, so the incarnation is raised: what the outbox has not told yet comes before all that follows.
 */
import assert from 'node:assert/strict'
import { pipeline } from 'node:stream/promises'
import { HooktrailError } from '../../../core/error/hooktrail-error.ts'
import { mapDatabaseError } from '../database-error.ts'
import { nextIncarnation } from '../job-store/maintenance.ts'
import type { Connection, Database, Queryable } from '../database.ts'
import { markWhole } from './move-marks.ts'
import { foundData, movedTables, SEEDED } from './store-contents.ts'

/** Nothing bounds how much there is to copy; whoever waits may end it. */
const NO_LIMITS =
  'SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0'
const UNBOUNDED_MS = 0

export interface CopyRequest {
  readonly from: Database
  readonly to: Database
  readonly moveId: string
  readonly onTable: (name: string, rows: number) => void
}

/**
 * Both schemas are of this version, nobody writes to `from`. A crash leaves all of it or nothing.
 * @throws MOVE_TARGET_NOT_EMPTY, STORE_UNAVAILABLE, STORE_FULL
 */
export async function copyStore({ from, to, moveId, onTable }: CopyRequest): Promise<void> {
  await using source = await from.connect()
  await using target = await to.connect()
  for (const side of [source, target]) await side.query(NO_LIMITS)
  await source.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY')
  // A connection that ends before COMMIT takes everything back.
  await target.query('BEGIN')
  const found = await foundData(target)
  if (found.length > 0) throw new HooktrailError('MOVE_TARGET_NOT_EMPTY', { found: found.join(', ') })
  await makeSlices(source, target)
  for (const name of SEEDED) await target.query(`DELETE FROM ${name}`)
  for (const name of await movedTables(source)) onTable(name, await copyTable(name, source, target))
  await settleCopy(source, target)
  await markWhole(target, moveId, 'target')
  await target.query({ text: 'COMMIT', answerMsMax: UNBOUNDED_MS })
}

interface Slice {
  readonly parent: string
  readonly name: string
  readonly bounds: string
}

/** The day of the oldest slice says from when on everything is held, so they are the same on both sides. */
async function makeSlices(source: Queryable, target: Queryable): Promise<void> {
  const moved = await movedTables(source)
  const slices = await source.query<Slice & Record<string, unknown>>(
    `SELECT p.relname AS parent, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
       FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
      WHERE p.relnamespace = to_regnamespace(current_schema())::oid AND p.relname = ANY ($1::text[])
        AND c.relkind = 'r' ORDER BY c.relname`,
    [moved],
  )
  for (const { parent, name, bounds } of slices) {
    const [known] = await target.query<{ is_made: boolean }>(
      'SELECT to_regclass($1) IS NOT NULL AS is_made',
      [name],
    )
    if (known?.is_made === true) continue
    await target.query(`CREATE TABLE ${name} (LIKE ${parent} INCLUDING DEFAULTS INCLUDING STORAGE)`)
    await target.query(`ALTER TABLE ${parent} ATTACH PARTITION ${name} ${bounds}`)
  }
}

async function copyTable(name: string, source: Connection, target: Connection): Promise<number> {
  const columns = (await columnsOf(name, source)).join(', ')
  const reading = source.copyOut(`COPY (SELECT ${columns} FROM ${name}) TO STDOUT (FORMAT binary)`)
  const writing = target.copyIn(`COPY ${name} (${columns}) FROM STDIN (FORMAT binary)`)
  await pipeline(reading, writing).catch((error: unknown) => {
    throw mapDatabaseError(error)
  })
  assert.equal(writing.rowCount, reading.rowCount, `every row of ${name} is copied`)
  return writing.rowCount
}

async function columnsOf(name: string, source: Queryable): Promise<readonly string[]> {
  const rows = await source.query<{ column: string }>(
    `SELECT quote_ident(attname) AS column FROM pg_attribute
      WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
    [name],
  )
  return rows.map(({ column }) => column)
}

/** What is not in rows: identities, when the schema came, and hints that no queue of the new side knows. */
async function settleCopy(source: Queryable, target: Queryable): Promise<void> {
  const identities = await target.query<{ table: string; column: string }>(
    `SELECT c.relname AS table, a.attname AS column FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
      WHERE c.relnamespace = to_regnamespace(current_schema())::oid AND NOT c.relispartition
        AND a.attidentity <> '' AND c.relname = ANY ($1::text[])`,
    [await movedTables(target)],
  )
  for (const { table, column } of identities)
    await target.query({
      text: `SELECT setval(pg_get_serial_sequence('${table}', '${column}'), greatest(max(${column}), 1)) FROM ${table}`,
      answerMsMax: UNBOUNDED_MS,
    })
  for (const { version, at } of await source.query<{ version: number; at: string }>(
    'SELECT version, applied_at::text AS at FROM schema_migrations',
  ))
    await target.query('UPDATE schema_migrations SET applied_at = $2::timestamptz WHERE version = $1', [
      version,
      at,
    ])
  await target.query({
    text: 'UPDATE jobs SET queued_until = NULL WHERE queued_until IS NOT NULL',
    answerMsMax: UNBOUNDED_MS,
  })
  await nextIncarnation(target)
}
