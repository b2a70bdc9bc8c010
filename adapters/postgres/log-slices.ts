/**
 * The time slices of log_records: made ahead, dropped whole when every row in them lies below its partition's log
 * start. Both take locks that appends wait for, so both give up after LOCK_TIMEOUT_MS and are tried again later.
 */
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { sqlStateOf } from './database-error.ts'
import type { Database, Queryable } from './database.ts'

export interface Slice {
  readonly name: string
  readonly fromMs: number
  readonly toMs: number
}

const SLICES_PER_RETENTION = 8
const WIDTH_MS_MIN = 1_000
const WIDTH_MS_MAX = 86_400_000
const SLICES_AHEAD = 8
const LOCK_TIMEOUT_MS = 200
const UNDEFINED_TABLE = '42P01'
/** One number for the maintenance of all logs in a database; the schema tells them apart. */
const MAINTENANCE_LOCK = 7_301_542

export function sliceWidthMs(retentionMs: number): number {
  return Math.min(WIDTH_MS_MAX, Math.max(WIDTH_MS_MIN, Math.ceil(retentionMs / SLICES_PER_RETENTION)))
}

/** Makes missing slices, drops dead ones. Returns the names of what was dropped. Any number of processes may call it. */
export async function maintainSlices(database: Database, widthMs: number): Promise<readonly string[]> {
  await makeSlices(database, widthMs)
  const dropped: string[] = []
  for (const slice of await closedSlices(database)) {
    if (await dropIfDead(database, slice)) dropped.push(slice.name)
  }
  await database.query(
    `DELETE FROM log_records_default r WHERE NOT EXISTS (SELECT FROM log_partitions p
      WHERE p.topic_no = r.topic_no AND p.partition_no = r.partition_no AND r.record_offset >= p.log_start)`,
  )
  return dropped
}

export async function listSlices(database: Queryable): Promise<readonly Slice[]> {
  const rows = await database.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'log_records'::regclass ORDER BY c.relname`,
  )
  return rows
    .flatMap(({ name }) => {
      const [, fromMs, toMs] = /^log_records_(\d+)_(\d+)$/.exec(name) ?? []
      return fromMs === undefined ? [] : [{ name, fromMs: Number(fromMs), toMs: Number(toMs) }]
    })
    .sort((a, b) => a.fromMs - b.fromMs)
}

async function makeSlices(database: Database, widthMs: number): Promise<void> {
  await whenUnlocked(() =>
    database.transaction(async (transaction) => {
      await transaction.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
      await transaction.query('SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))', [
        MAINTENANCE_LOCK,
      ])
      const end = (await listSlices(transaction)).at(-1)?.toMs ?? 0
      const [row] = await transaction.query<{ now: bigint; stray: bigint }>(
        `SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now,
                (SELECT coalesce(max(timestamp_ms), -1) FROM log_records_default) AS stray`,
      )
      const nowMs = Number(row?.now ?? 0n)
      // Rows in the default slice keep their range for ever: a slice may begin only behind them.
      const floorMs = Math.max(end, Number(row?.stray ?? -1n) + 1)
      const current = nowMs - (nowMs % widthMs)
      for (let fromMs = Math.max(floorMs, current); fromMs <= current + SLICES_AHEAD * widthMs;) {
        const toMs = fromMs - (fromMs % widthMs) + widthMs
        await makeSlice(transaction, fromMs, toMs)
        fromMs = toMs
      }
    }),
  )
}

/** LIKE and ATTACH instead of PARTITION OF: that one locks out every reader and appender of the whole log. */
async function makeSlice(transaction: Queryable, fromMs: number, toMs: number): Promise<void> {
  const name = `log_records_${fromMs}_${toMs}`
  await transaction.query(
    `CREATE TABLE ${name} (LIKE log_records INCLUDING STORAGE) WITH (toast_tuple_target = 8160);
     CREATE UNIQUE INDEX ${name}_position ON ${name} (topic_no, partition_no, record_offset);
     ALTER TABLE log_records ATTACH PARTITION ${name} FOR VALUES FROM (${fromMs}) TO (${toMs})`,
  )
}

/** The database's clock has passed their end, so that no new record can come in. */
async function closedSlices(database: Queryable): Promise<readonly Slice[]> {
  const [row] = await database.query<{ now: bigint }>(
    'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now',
  )
  return (await listSlices(database)).filter(({ toMs }) => toMs <= Number(row?.now ?? 0n))
}

/** False also where another process dropped it meanwhile: several of them maintain the log. */
async function dropIfDead(database: Database, { name }: Slice): Promise<boolean> {
  try {
    if (await hasLiveRows(database, name)) return false
    const dropped = await whenUnlocked(() =>
      database.transaction(async (transaction) => {
        await transaction.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
        // Waits for appends that took their timestamp before the slice's end; then it is looked at again.
        await transaction.query(`LOCK TABLE ONLY log_records, ${name} IN ACCESS EXCLUSIVE MODE`)
        if (await hasLiveRows(transaction, name)) return false
        await transaction.query(`DROP TABLE ${name}`)
        return true
      }),
    )
    return dropped ?? false
  } catch (error) {
    if (sqlStateOf(error) === UNDEFINED_TABLE) return false
    throw error
  }
}

async function hasLiveRows(database: Queryable, name: string): Promise<boolean> {
  const [row] = await database.query<{ live: boolean }>(
    `SELECT EXISTS (SELECT FROM log_partitions p WHERE EXISTS (SELECT FROM ${name} r
       WHERE r.topic_no = p.topic_no AND r.partition_no = p.partition_no AND r.record_offset >= p.log_start)) AS live`,
  )
  return row?.live !== false
}

async function whenUnlocked<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    if (isHooktrailError(error, 'STORE_UNAVAILABLE') && error.details['sqlState'] === '55P03') return null
    throw error
  }
}
