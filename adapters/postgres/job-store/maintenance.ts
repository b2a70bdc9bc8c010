/** The store's identity, and the duties that keep it small: slices, first sights of keys, strays. */
import { HooktrailError } from '../../../core/error/hooktrail-error.ts'
import type { Logger } from '../../../core/log.ts'
import type {
  MaintenanceStore,
  RememberedHeartbeat,
  StoreIdentity,
} from '../../../core/ports/maintenance-store.ts'
import type { Database, Queryable } from '../database.ts'
import { purgeFirstSeen } from './purge-first-seen.ts'
import { purgeReplays } from './purge-replays.ts'
import { maintainSlices, reportStrays } from './slices.ts'

const OUTBOX_TABLES = ['attempts', 'plan_steps', 'audit'] as const

export function createMaintenanceStore(database: Database, logger: Logger): MaintenanceStore {
  return {
    identify: (fingerprint) => database.transaction((transaction) => identify(transaction, fingerprint)),
    rememberArchive: (archiveId) =>
      database.transaction((transaction) => rememberArchive(transaction, archiveId)),
    rememberedHeartbeat: async () => {
      const [row] = await database.query<RememberedHeartbeat & Record<string, unknown>>(
        'SELECT heartbeat_n AS n, heartbeat_sha256 AS sha256 FROM store WHERE heartbeat_n IS NOT NULL',
      )
      return row ?? null
    },
    rememberHeartbeat: async ({ n, sha256 }) => {
      await database.query(
        `UPDATE store SET heartbeat_n = $1::int8, heartbeat_sha256 = $2
          WHERE heartbeat_n IS NULL OR heartbeat_n < $1::int8`,
        [n.toString(), sha256],
      )
    },
    maintainSlices: async (retention) => {
      const dropped = await maintainSlices(database, retention)
      if (retention.firstSeenMs !== null) await purgeFirstSeen(database, retention.firstSeenMs)
      await purgeReplays(database, retention.deadHours)
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

/**
 * From now on what the outbox gets comes behind all that it holds, whatever the server's transaction ids are.
 * @param used an incarnation that somebody has met elsewhere
 */
export async function nextIncarnation(transaction: Queryable, used = 0): Promise<void> {
  const [row] = await transaction.query<{ incarnation: number }>(
    'UPDATE store SET incarnation = greatest(incarnation, $1::int4) + 1 RETURNING incarnation',
    [used],
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
