/**
 * Breakers in the rows of their handlers. Each change is one statement that compares the version (opening: the state) and
 * carries its audit row: of two processes that judge alike one changes it. The row is small and changes are rare.
 */
import type {
  Breaker,
  BreakerChange,
  BreakerOpening,
  BreakerStore,
} from '../../../core/ports/breaker-store.ts'
import { PAUSE_MS_MAX } from '../../../core/delivery/breaker-ramp.ts'
import type { Queryable } from '../database.ts'
import { textArray } from '../sql.ts'
import { cleanText, jsonText, texts } from './columns.ts'

/** Where the database's clock went back the end of a pause lies further ahead than a pause is long: it is over. */
const PAUSED_UNTIL = `CASE WHEN h.breaker = 'open' AND h.breaker_until > now() + ${PAUSE_MS_MAX} * interval '1 millisecond'
  THEN now() ELSE coalesce(h.breaker_until, now()) END`

const BREAKER = `h.handler, h.breaker AS state, h.breaker_version AS version, h.breaker_probes AS probes,
  h.breaker_failures AS failures,
  (extract(epoch FROM ${PAUSED_UNTIL} - now()) * 1000)::float8 AS "waitMs",
  (extract(epoch FROM now() - h.failing_since) * 1000)::float8 AS "failingForMs"`

const LIST = {
  name: 'breakers_list',
  text: `SELECT ${BREAKER} FROM handlers h WHERE h.breaker <> 'closed' OR h.failing_since IS NOT NULL`,
}

const OPEN = {
  name: 'breakers_open',
  text: `WITH opened AS (
    UPDATE handlers SET breaker = 'open', breaker_version = breaker_version + 1, breaker_reason = $2,
           breaker_since = now(), breaker_until = now() + $3::float8 * interval '1 millisecond', breaker_probes = 0,
           breaker_failures = 0
     WHERE handler = $1 AND breaker = 'closed' RETURNING handler, breaker_reason
  ) INSERT INTO audit (actor, action, target, reason, details)
    SELECT 'hooktrail', 'breaker_opened', handler, breaker_reason, $4::jsonb FROM opened RETURNING target`,
}

/** $1 handler, $2 version. */
const change = (name: string, set: string, more = ''): { name: string; text: string } => ({
  name,
  text: `UPDATE handlers h SET breaker_version = breaker_version + 1, ${set}
          WHERE h.handler = $1 AND h.breaker_version = $2::int8 AND h.breaker <> 'closed' ${more} RETURNING ${BREAKER}`,
})
const ROUND = `breaker = 'probing', breaker_probes = $3::int4,
  breaker_until = now() + $4::float8 * interval '1 millisecond'`

const BEGIN = change(
  'breakers_begin',
  ROUND,
  `AND h.status = 'active' AND ${PAUSED_UNTIL} <= now() AND EXISTS (SELECT FROM store WHERE store.state = 'ok')
   AND EXISTS (SELECT FROM jobs j WHERE j.handler = $1 AND j.state <> 'running' AND j.due <= now())`,
)
const WIDEN = change('breakers_widen', ROUND, `AND h.breaker = 'probing'`)
const REOPEN = change(
  'breakers_reopen',
  `breaker = 'open', breaker_probes = 0, breaker_failures = $3::int4,
   breaker_until = now() + $4::float8 * interval '1 millisecond'`,
)

/** Hints that came while nothing might be taken are gone: their jobs are due at once, not when the marks run out. */
const CLOSE = {
  name: 'breakers_close',
  text: `WITH before AS MATERIALIZED (
    SELECT handler, breaker_since, breaker_failures FROM handlers
     WHERE handler = $1 AND breaker_version = $2::int8 AND breaker <> 'closed' FOR UPDATE
  ), closed AS (
    UPDATE handlers h SET breaker = 'closed', breaker_version = breaker_version + 1, breaker_reason = NULL,
           breaker_since = NULL, breaker_until = NULL, breaker_probes = 0, breaker_failures = 0
      FROM before WHERE h.handler = before.handler
    RETURNING ${BREAKER}, before.breaker_since AS since, before.breaker_failures AS rounds
  ), unmarked AS (
    UPDATE jobs SET queued_until = NULL FROM closed WHERE jobs.handler = closed.handler AND queued_until > now()
  ), audited AS (
    INSERT INTO audit (actor, action, target, reason, details)
    SELECT 'hooktrail', 'breaker_closed', handler, NULL,
           jsonb_build_object('open_seconds', round(extract(epoch FROM now() - since)), 'failed_rounds', rounds)
      FROM closed
  ) SELECT handler, state, version, probes, failures, "waitMs", "failingForMs" FROM closed`,
}

const NOTE_FAILING = {
  name: 'handlers_note_failing',
  text: `WITH note AS MATERIALIZED (
    SELECT h.handler, n.ms::float8 AS for_ms FROM unnest($1::text[], $2::text[]) AS n (handler, ms) JOIN handlers h USING (handler)
     WHERE (h.failing_since IS NULL) <> (n.ms IS NULL) ORDER BY h.handler FOR UPDATE OF h
  ) UPDATE handlers h SET failing_since = now() - note.for_ms * interval '1 millisecond'
      FROM note WHERE h.handler = note.handler`,
}

const DISABLE = {
  name: 'handlers_disable_failing',
  text: `WITH disabled AS (
    UPDATE handlers SET status = 'disabled', status_reason = $3
     WHERE handler = $1 AND status = 'active' AND failing_since <= now() - $2::float8 * interval '1 millisecond'
    RETURNING handler, status_reason, failing_since
  ) INSERT INTO audit (actor, action, target, reason, details)
    SELECT 'hooktrail', 'handler_disabled', handler, status_reason, jsonb_build_object('failing_since', failing_since)
      FROM disabled RETURNING target`,
}

type BreakerRow = Breaker & Record<string, unknown>

export function createBreakerStore(database: Queryable): BreakerStore {
  return {
    breakers: () => database.query<BreakerRow>(LIST),
    openBreaker: (opening) => openBreaker(database, opening),
    changeBreaker: async (change) => (await changeRows(database, change))[0] ?? null,
    noteFailing: async ({ failing, delivered }) => {
      if (failing.length + delivered.length === 0) return
      const handlers = [...failing.map(({ handler }) => handler), ...delivered]
      const forMs: readonly (string | null)[] = [
        ...failing.map(({ forMs: ms }) => String(ms)),
        ...delivered.map(() => null),
      ]
      await database.query(NOTE_FAILING, [textArray(handlers), texts(forMs, (ms) => ms)])
    },
    disableFailing: async ({ handler, afterMs, reason }) =>
      (await database.query(DISABLE, [handler, afterMs, cleanText(reason)])).length > 0,
  }
}

async function openBreaker(
  database: Queryable,
  { handler, reason, pauseMs, details }: BreakerOpening,
): Promise<boolean> {
  const rows = await database.query(OPEN, [handler, cleanText(reason), pauseMs, jsonText(details)])
  return rows.length > 0
}

function changeRows(database: Queryable, change: BreakerChange): Promise<readonly BreakerRow[]> {
  const key = [change.handler, change.version.toString()]
  switch (change.kind) {
    case 'begin':
    case 'widen':
      return database.query<BreakerRow>(change.kind === 'begin' ? BEGIN : WIDEN, [
        ...key,
        change.probes,
        change.roundMs,
      ])
    case 'reopen':
      return database.query<BreakerRow>(REOPEN, [...key, change.failures, change.pauseMs])
    case 'close':
      return database.query<BreakerRow>(CLOSE, key)
    default:
      return change satisfies never
  }
}
