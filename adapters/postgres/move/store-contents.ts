/**
 * What a move has to know of a database before it touches it: which server and database it is, whether anybody runs on
 * it, whether it holds anything. Only reads, also where hooktrail has never been.
 */
import type { Queryable } from '../database.ts'

/** Of the pools of all processes; a move's own have another name. */
const APPLICATION_NAME = 'hooktrail'
/** Tables that stay: the log, which the archive replaces, and what belongs to processes and to the database itself. */
const STAYS = [
  ...['log_topics', 'log_partitions', 'log_records'],
  ...['leases', 'dispatchers', 'schema_migrations', 'moves', 'running_roots'],
]
/** The migrations write their only rows. */
export const SEEDED: readonly string[] = ['store', 'relay_positions']

/** The same for every way to write the address of one database. */
export async function databaseIdentity(database: Queryable): Promise<string> {
  const [row] = await database.query<{ identity: string }>(
    `SELECT extract(epoch FROM pg_postmaster_start_time())::text || ' ' || oid::text AS identity
       FROM pg_database WHERE datname = current_database()`,
  )
  return row?.identity ?? ''
}

/** Connections of running processes. */
export async function runningConnections(database: Queryable): Promise<number> {
  const [row] = await database.query<{ connections: number }>(
    `SELECT count(*)::int4 AS connections FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = $1`,
    [APPLICATION_NAME],
  )
  return row?.connections ?? 0
}

/** Every table that moves, whatever later versions add; parents of slices, not the slices. */
export async function movedTables(database: Queryable): Promise<readonly string[]> {
  const rows = await database.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_class c
      WHERE c.relnamespace = to_regnamespace(current_schema())::oid AND c.relkind IN ('r', 'p')
        AND NOT c.relispartition AND c.relname <> ALL ($1::text[]) ORDER BY c.relname`,
    [STAYS],
  )
  return rows.map(({ name }) => name)
}

/** Names of tables with rows that no migration wrote, and topics with records; empty: nothing was ever here. */
export async function foundData(database: Queryable): Promise<readonly string[]> {
  const [schema] = await database.query<{ is_made: boolean }>(
    `SELECT to_regclass('store') IS NOT NULL AS is_made`,
  )
  if (schema?.is_made !== true) return []
  const tables = (await movedTables(database)).filter((name) => !SEEDED.includes(name))
  const found: string[] = []
  for (const name of tables)
    if ((await database.query(`SELECT FROM ${name} LIMIT 1`)).length > 0) found.push(name)
  const logged = await database.query<{ name: string }>(
    `SELECT DISTINCT t.name FROM log_topics t JOIN log_partitions p USING (topic_no) WHERE p.next_offset > 0`,
  )
  return [...found, ...logged.map(({ name }) => name)]
}
