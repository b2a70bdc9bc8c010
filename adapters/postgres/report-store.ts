/**
 * The report's sums and checks in one read-only snapshot. All tables are locked (shared) before the snapshot is taken:
 * no slice can be dropped in between, or what the snapshot still counts could not be found any more.
 */
import type { Clock } from '../../core/clock.ts'
import { within } from '../../core/deadline.ts'
import type {
  Disagreement,
  HandlerStanding,
  LogEnd,
  ReportSums,
  ReportStore,
  ReportWindow,
} from '../../core/ports/report-store.ts'
import type { Database, Queryable } from './database.ts'
import { servedText } from './job-store/serving.ts'
import { checksOf } from './report-checks.ts'
import { LOG_ENDS_HERE, logEndsText } from './report-log-ends.ts'
import { BY_SOURCE, BY_STEP, byHandler, partitions } from './report-sums.ts'

const TABLES = ['events', 'jobs', 'jobs_done', 'jobs_dead', 'attempts', 'plan_steps', 'log_records'] as const
/** Whoever asks gives up by then. */
const STATEMENT_TIMEOUT_MS = 120_000
/** The server gives up before; only a connection that went silent takes longer. */
const ANSWER_MARGIN_MS = 5_000
/** Whoever asks has given up by then, and asks again. */
const STANDINGS_TIMEOUT_MS = 3_000
/** Of the log's answer for those; without it the rest is told. */
const LOG_ENDS_MS_MAX = 1_000
/** How soon Postgres finds that whoever asked has gone, and ends the statement. */
const CONNECTION_CHECK_MS = 1_000
/** Times of a step and of what it leads to are the starts of their transactions: they may differ by a transaction. */
const MARGIN_SECONDS = 120

/** Null while the oldest slice of every table is the one that the installation began with: nothing was dropped. */
const HELD_FROM = `
  WITH oldest AS (
    SELECT i.inhparent, min(to_date(right(c.relname, 8), 'YYYYMMDD')) AS day
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = ANY (ARRAY['events', 'jobs_done', 'jobs_dead', 'attempts', 'plan_steps']::regclass[])
       AND c.relname ~ '_[0-9]{8}$' GROUP BY 1)
  SELECT (extract(epoch FROM max(day)) * 1000)::float8 AS "heldFromMs"
    FROM oldest WHERE day > (SELECT max(applied_at)::date FROM schema_migrations WHERE version = 2)`

type Row<T> = T & Record<string, unknown>

const standings = (logEnds: string): string => `
  SELECT h.handler, h.source, h.status, h.status_reason AS "statusReason", h.breaker,
         h.breaker_reason AS "breakerReason",
         (extract(epoch FROM now() - h.breaker_since) * 1000)::float8 AS "breakerForMs",
         lag.records::float8 AS "lagRecords", coalesce(open.available, 0)::float8 AS available,
         coalesce(open.running, 0)::float8 AS running, coalesce(open.retryable, 0)::float8 AS retryable,
         coalesce(dead.count, 0)::float8 AS dead,
         (extract(epoch FROM now() - next.due) * 1000)::float8 AS "dueForMs",
         coalesce(next.last_error, letter.last_error) AS "lastError",
         (extract(epoch FROM now() - served.unserved_since) * 1000)::float8 AS "unservedForMs"
    FROM handlers h
    JOIN (${servedText('dispatchers')}) AS served USING (handler)
    LEFT JOIN (SELECT p.handler, sum(greatest(l.next_offset - p.next_offset, 0)) AS records
                 FROM (${logEnds}) AS l JOIN positions p USING (topic_id, partition_no)
                GROUP BY 1) AS lag USING (handler)
    LEFT JOIN (SELECT handler, count(*) FILTER (WHERE state = 'available') AS available,
                      count(*) FILTER (WHERE state = 'running') AS running,
                      count(*) FILTER (WHERE state = 'retryable') AS retryable
                 FROM jobs GROUP BY 1) AS open USING (handler)
    LEFT JOIN (SELECT handler, count(*) AS count, max(completed_at) AS newest FROM jobs_dead GROUP BY 1) AS dead
           USING (handler)
    LEFT JOIN LATERAL (SELECT last_error FROM jobs_dead d WHERE d.handler = h.handler AND d.completed_at = dead.newest
                        LIMIT 1) AS letter ON true
    LEFT JOIN LATERAL (SELECT due, last_error FROM jobs j WHERE j.handler = h.handler AND j.state <> 'running'
                        ORDER BY due LIMIT 1) AS next ON true
   ORDER BY h.handler LIMIT 2000`

/** Null: the log lies in this database. */
export type ReadLogEnds = (() => Promise<readonly LogEnd[]>) | null

export function createReportStore(database: Database, readLogEnds: ReadLogEnds, clock: Clock): ReportStore {
  return {
    sums: (window, signal) =>
      database.transaction((transaction) => readSums(transaction, window, readLogEnds), {
        signal,
        answerMsMax: STATEMENT_TIMEOUT_MS + ANSWER_MARGIN_MS,
      }),
    standings: async (signal) => {
      const logEnds = readLogEnds === null ? null : await endsSoon(readLogEnds, clock)
      return database.transaction((transaction) => readStandings(transaction, logEnds), { signal })
    },
  }
}

const STANDINGS_HERE = { name: 'report_standings', text: standings(LOG_ENDS_HERE) }

async function readStandings(
  transaction: Queryable,
  logEnds: string | null,
): Promise<readonly HandlerStanding[]> {
  await transaction.query(`SET LOCAL statement_timeout = ${STANDINGS_TIMEOUT_MS}`)
  return transaction.query<Row<HandlerStanding>>(logEnds === null ? STANDINGS_HERE : standings(logEnds))
}

/** A log that does not answer leaves what is behind unknown, and says nothing of the database. */
async function endsSoon(readLogEnds: NonNullable<ReadLogEnds>, clock: Clock): Promise<string> {
  const ends = await within(() => readLogEnds().catch(() => []), { ms: LOG_ENDS_MS_MAX, clock })
  return logEndsText(ends?.value ?? [])
}

async function readSums(
  transaction: Queryable,
  window: ReportWindow,
  readLogEnds: ReadLogEnds,
): Promise<ReportSums> {
  await transaction.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY')
  // Everything is read whole, whatever the statistics of a young or a grown table say: never row by row.
  await transaction.query(
    `SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS};
     SET LOCAL client_connection_check_interval = ${CONNECTION_CHECK_MS};
     SET LOCAL enable_nestloop = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'`,
  )
  await transaction.query(`LOCK TABLE ${TABLES.join(', ')} IN ACCESS SHARE MODE`)
  const comparedFromMs = await readComparedFrom(transaction)
  const logEnds = readLogEnds === null ? LOG_ENDS_HERE : logEndsText(await readLogEnds())
  const counted = await readCounts(transaction, window, logEnds)
  const checks = checksOf(logEnds, readLogEnds === null)
  return {
    ...counted,
    comparedFromMs,
    disagreeing: await readDisagreeing(transaction, checks, comparedFromMs),
  }
}

async function readComparedFrom(transaction: Queryable): Promise<number | null> {
  const [row] = await transaction.query<{ heldFromMs: number | null }>(HELD_FROM)
  const ms = row?.heldFromMs ?? null
  return ms === null ? null : ms + MARGIN_SECONDS * 1000
}

async function readCounts(transaction: Queryable, { sinceMs, untilMs }: ReportWindow, logEnds: string) {
  const window = [sinceMs ?? '-infinity', untilMs ?? 'infinity']
  const isOpen = sinceMs === null && untilMs === null
  return {
    sources: await transaction.query<Row<ReportSums['sources'][number]>>(BY_SOURCE, window),
    steps: await transaction.query<Row<ReportSums['steps'][number]>>(BY_STEP, window),
    jobs: await transaction.query<Row<ReportSums['jobs'][number]>>(byHandler(isOpen), window),
    partitions: await transaction.query<Row<ReportSums['partitions'][number]>>(partitions(logEnds)),
  }
}

async function readDisagreeing(
  transaction: Queryable,
  checks: readonly string[],
  comparedFromMs: number | null,
): Promise<readonly Disagreement[]> {
  const from = comparedFromMs === null ? '-infinity' : new Date(comparedFromMs).toISOString()
  const found: Disagreement[] = []
  for (const check of checks) found.push(...(await transaction.query<Row<Disagreement>>(check, [from])))
  return found
}
