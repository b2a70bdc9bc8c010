/**
 * Brings the database to the schema of this code: numbered files of infra/sql, each in one transaction, in order,
 * once, under an advisory lock, so that several processes may start together. A database that is newer than the
 * code, or whose applied files had other content, is refused before anything is changed.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Database, Queryable } from './database.ts'

export interface Migration {
  readonly version: number
  readonly name: string
  readonly sql: string
  readonly sha256: string
}

export interface MigrationResult {
  /** Names of the files that were applied now. */
  readonly applied: readonly string[]
  readonly version: number
}

/** 0 is no limit, as with statement_timeout. */
const UNBOUNDED = { answerMsMax: 0 }
/** One lock number for all of hooktrail's migrations. */
const MIGRATION_LOCK = 7_301_542_001n

export async function migrate(database: Database, folder: string = sqlFolder()): Promise<MigrationResult> {
  const migrations = await readMigrations(folder)
  const applied: string[] = []
  // A file may move many rows: here, and only here, a statement may take its time.
  await database.transaction(async (transaction) => {
    applied.length = 0
    await transaction.query('SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0')
    await transaction.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK.toString()])
    await transaction.query(
      `CREATE SCHEMA IF NOT EXISTS ${database.schema};
       CREATE TABLE IF NOT EXISTS schema_migrations (
         version integer PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
         applied_at timestamptz NOT NULL DEFAULT now())`,
    )
    for (const migration of await missingMigrations(transaction, migrations)) {
      await transaction.query(migration.sql)
      await transaction.query('INSERT INTO schema_migrations (version, name, sha256) VALUES ($1, $2, $3)', [
        migration.version,
        migration.name,
        migration.sha256,
      ])
      applied.push(migration.name)
    }
  }, UNBOUNDED)
  return { applied, version: migrations.at(-1)?.version ?? 0 }
}

async function missingMigrations(
  transaction: Queryable,
  migrations: readonly Migration[],
): Promise<readonly Migration[]> {
  const rows = await transaction.query<{ version: number; name: string; sha256: string }>(
    'SELECT version, name, sha256 FROM schema_migrations ORDER BY version',
  )
  const known = new Map(migrations.map((migration) => [migration.version, migration]))
  for (const { version, name, sha256 } of rows) {
    const migration = known.get(version)
    if (migration === undefined)
      throw new HooktrailError('STORE_SCHEMA_NEWER', {
        database: version,
        code: migrations.at(-1)?.version ?? 0,
      })
    if (migration.sha256 !== sha256) throw new HooktrailError('STORE_SCHEMA_CHANGED', { version, name })
  }
  const done = new Set(rows.map(({ version }) => version))
  return migrations.filter(({ version }) => !done.has(version))
}

export async function readMigrations(folder: string): Promise<readonly Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{6}_[a-z0-9_]+\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(join(folder, name), 'utf8')
      const sha256 = createHash('sha256').update(sql).digest('hex')
      return { version: Number(name.slice(0, 6)), name, sql, sha256 }
    }),
  )
}

/** infra/sql beside the sources, and in the published package one level further up. */
function sqlFolder(): string {
  for (let folder = import.meta.dirname; dirname(folder) !== folder; folder = dirname(folder)) {
    const candidate = join(folder, 'infra', 'sql')
    if (existsSync(candidate)) return candidate
  }
  throw new Error('infra/sql is missing from the installation')
}
