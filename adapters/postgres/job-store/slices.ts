/**
 * Daily slices: made ahead, dropped whole when they are older than their retention and all that they hold is relayed.
 * Attempts stay as long as a job that they belong to can be open or dead. What lies in a default slice is counted and
 * logged: it has no slice of its own.
 */
import type { Logger } from '../../../core/log.ts'
import type { MaintenanceStore } from '../../../core/ports/maintenance-store.ts'
import type { OutboxKind } from '../../../core/ports/outbox-store.ts'
import type { Database, Queryable } from '../database.ts'

type Retention = Parameters<MaintenanceStore['maintainSlices']>[0]

interface SlicedTable {
  readonly name: string
  readonly key: string
  readonly retention: 'done' | 'dead' | 'longer'
  /** The outbox that must have told everything up to the slice's end, and its own rows for an outbox table. */
  readonly toldBy: Extract<OutboxKind, 'attempts' | 'plan_steps'>
}

const TABLES: readonly SlicedTable[] = [
  { name: 'events', key: 'indexed_at', retention: 'done', toldBy: 'plan_steps' },
  { name: 'jobs_done', key: 'completed_at', retention: 'done', toldBy: 'attempts' },
  { name: 'jobs_dead', key: 'completed_at', retention: 'dead', toldBy: 'attempts' },
  { name: 'attempts', key: 'created_at', retention: 'longer', toldBy: 'attempts' },
  { name: 'plan_steps', key: 'created_at', retention: 'done', toldBy: 'plan_steps' },
]
const DAYS_AHEAD = 7
const MAINTENANCE_LOCK = 7_301_543
const LOCK_TIMEOUT_MS = 1_000

export async function maintainSlices(database: Database, retention: Retention): Promise<readonly string[]> {
  await makeSlices(database)
  const dropped: string[] = []
  for (const table of TABLES)
    for (const slice of await oldSlices(database, table, hoursOf(table, retention)))
      if (await dropIfRelayed(database, table, slice)) dropped.push(slice)
  return dropped
}

async function makeSlices(database: Database): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
    await lockMaintenance(transaction)
    for (const { name, key } of TABLES)
      await transaction.query('SELECT make_day_slices($1, $2, $3::int4)', [name, key, DAYS_AHEAD])
  })
}

function hoursOf({ retention }: SlicedTable, { doneHours, deadHours }: Retention): number {
  switch (retention) {
    case 'done':
      return doneHours
    case 'dead':
      return deadHours
    case 'longer':
      return Math.max(doneHours, deadHours)
    default:
      return retention satisfies never
  }
}

/** Names of slices whose last moment is older than the retention, oldest first. */
async function oldSlices(
  database: Queryable,
  { name }: SlicedTable,
  hours: number,
): Promise<readonly string[]> {
  const rows = await database.query<{ slice: string }>(
    `SELECT c.relname AS slice FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = $1::regclass AND c.relname ~ '_[0-9]{8}$'
        AND to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= now() - $2::float8 * interval '1 hour'
      ORDER BY c.relname`,
    [name, hours],
  )
  return rows.map(({ slice }) => slice)
}

async function dropIfRelayed(database: Database, table: SlicedTable, slice: string): Promise<boolean> {
  const { name, toldBy } = table
  return database.transaction(async (transaction) => {
    await transaction.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
    await lockMaintenance(transaction)
    const [found] = await transaction.query<{ exists: boolean }>(
      'SELECT to_regclass($1) IS NOT NULL AS exists',
      [slice],
    )
    if (found?.exists !== true || (name === 'attempts' && (await isShown(transaction, slice)))) return false
    await transaction.query(`LOCK TABLE ${name}, ${slice} IN ACCESS EXCLUSIVE MODE`)
    const [told] = await transaction.query<{ all: boolean }>(
      `SELECT NOT EXISTS (SELECT FROM ${toldBy} r, relay_positions p
         WHERE p.kind = $1 AND (r.incarnation, r.xid, r.id) > (p.incarnation, p.xid, p.id)
           AND r.created_at < to_date($2, 'YYYYMMDD') + 1) AS all`,
      [toldBy, slice.slice(-8)],
    )
    if (told?.all !== true) return false
    await transaction.query(`DROP TABLE ${slice}`)
    return true
  })
}

/** True while a job that is open or dead may have attempts in the slice: its history goes with it, not before. */
async function isShown(transaction: Queryable, slice: string): Promise<boolean> {
  const [row] = await transaction.query<{ shown: boolean }>(
    `SELECT EXISTS (SELECT FROM jobs WHERE attempt > 0 AND created_at < to_date($1, 'YYYYMMDD') + 1)
         OR EXISTS (SELECT FROM jobs_dead WHERE attempt > 0 AND created_at < to_date($1, 'YYYYMMDD') + 1) AS shown`,
    [slice.slice(-8)],
  )
  return row?.shown === true
}

async function lockMaintenance(transaction: Queryable): Promise<void> {
  await transaction.query('SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))', [MAINTENANCE_LOCK])
}

export async function reportStrays(database: Queryable, logger: Logger): Promise<void> {
  for (const { name } of TABLES) {
    const [row] = await database.query<{ rows: bigint }>(`SELECT count(*) AS rows FROM ${name}_default`)
    if (row !== undefined && row.rows > 0n)
      logger.warn({ table: name, rows: row.rows.toString() }, 'rows lie in the default slice of a table')
  }
}
