/**
 * The store's identity and its daily slices: made ahead, dropped whole when they are older than their retention and
 * all that they hold is relayed. What lies in a default slice is counted and logged: it has no slice of its own.
 */
import { HooktrailError } from '../../../core/error/hooktrail-error.ts'
import type { Logger } from '../../../core/log.ts'
import type { MaintenanceStore, OutboxKind, StoreIdentity } from '../../../core/ports/job-store.ts'
import type { Database, Queryable } from '../pool.ts'

interface SlicedTable {
  readonly name: string
  readonly key: string
  readonly retention: 'doneHours' | 'deadHours'
  /** The outbox that must have told everything up to the slice's end, and its own rows for an outbox table. */
  readonly toldBy: Extract<OutboxKind, 'attempts' | 'plan_steps'>
}

const TABLES: readonly SlicedTable[] = [
  { name: 'events', key: 'indexed_at', retention: 'doneHours', toldBy: 'plan_steps' },
  { name: 'jobs_done', key: 'completed_at', retention: 'doneHours', toldBy: 'attempts' },
  { name: 'jobs_dead', key: 'completed_at', retention: 'deadHours', toldBy: 'attempts' },
  { name: 'attempts', key: 'created_at', retention: 'doneHours', toldBy: 'attempts' },
  { name: 'plan_steps', key: 'created_at', retention: 'doneHours', toldBy: 'plan_steps' },
]
const OUTBOX_TABLES = ['attempts', 'plan_steps', 'audit'] as const
const DAYS_AHEAD = 7
const MAINTENANCE_LOCK = 7_301_543
const LOCK_TIMEOUT_MS = 1_000

export function createMaintenanceStore(database: Database, logger: Logger): MaintenanceStore {
  return {
    identify: (fingerprint) => database.transaction((transaction) => identify(transaction, fingerprint)),
    rememberArchive: (archiveId) =>
      database.transaction((transaction) => rememberArchive(transaction, archiveId)),
    maintainSlices: async (retention) => {
      await makeSlices(database)
      const dropped: string[] = []
      for (const table of TABLES)
        for (const slice of await oldSlices(database, table, retention[table.retention]))
          if (await dropIfRelayed(database, table, slice)) dropped.push(slice)
      await reportStrays(database, logger)
      return dropped
    },
  }
}

async function identify(transaction: Queryable, fingerprint: string): Promise<StoreIdentity> {
  const [row] = await transaction.query<
    { digestKey: string | null; copied: boolean } & Record<string, unknown>
  >(
    `SELECT digest_key AS "digestKey", EXISTS (SELECT FROM relay_positions p WHERE p.incarnation = store.incarnation
            AND p.xid >= pg_snapshot_xmax(pg_current_snapshot())) AS copied FROM store FOR UPDATE`,
  )
  if (row?.digestKey !== null && row?.digestKey !== fingerprint)
    throw new HooktrailError('STORE_DIGEST_KEY_MISMATCH', {})
  // Transaction ids restart in a new cluster: from now on rows are ordered by a higher incarnation.
  if (row.copied) await nextIncarnation(transaction)
  const [identity] = await transaction.query<StoreIdentity & Record<string, unknown>>(
    `UPDATE store SET digest_key = $1 RETURNING store_id::text AS "storeId", incarnation, state,
            archive_id AS "archiveId"`,
    [fingerprint],
  )
  if (identity === undefined)
    throw new HooktrailError('STORE_UNAVAILABLE', { reason: 'the store has no row' })
  return identity
}

async function nextIncarnation(transaction: Queryable): Promise<void> {
  const [row] = await transaction.query<{ incarnation: number }>(
    'UPDATE store SET incarnation = incarnation + 1 RETURNING incarnation',
  )
  for (const table of OUTBOX_TABLES)
    await transaction.query(
      `ALTER TABLE ${table} ALTER COLUMN incarnation SET DEFAULT ${row?.incarnation ?? 1}`,
    )
}

async function rememberArchive(transaction: Queryable, archiveId: string): Promise<void> {
  const [row] = await transaction.query<{ archiveId: string }>(
    'UPDATE store SET archive_id = coalesce(archive_id, $1) RETURNING archive_id AS "archiveId"',
    [archiveId],
  )
  if (row?.archiveId !== archiveId)
    throw new HooktrailError('STORE_ARCHIVE_MISMATCH', { store: row?.archiveId ?? null, archive: archiveId })
}

async function makeSlices(database: Database): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
    await lockMaintenance(transaction)
    for (const { name, key } of TABLES)
      await transaction.query('SELECT make_day_slices($1, $2, $3::int4)', [name, key, DAYS_AHEAD])
  })
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
    if (found?.exists !== true) return false
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

async function lockMaintenance(transaction: Queryable): Promise<void> {
  await transaction.query('SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))', [MAINTENANCE_LOCK])
}

async function reportStrays(database: Queryable, logger: Logger): Promise<void> {
  for (const { name } of TABLES) {
    const [row] = await database.query<{ rows: bigint }>(`SELECT count(*) AS rows FROM ${name}_default`)
    if (row !== undefined && row.rows > 0n)
      logger.warn({ table: name, rows: row.rows.toString() }, 'rows lie in the default slice of a table')
  }
}
