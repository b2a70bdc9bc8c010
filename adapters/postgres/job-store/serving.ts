/**
 * Which dispatchers live, and so which handlers nobody serves. A dispatcher that is forgotten leaves the time until
 * which it served in the rows of its handlers; nothing else writes those for it, so that living costs one small row.
 */
import type { Served, ServedHandler, ServingStore } from '../../../core/ports/lease-store.ts'
import type { Queryable } from '../database.ts'
import { textArray } from '../sql.ts'
import { LEASE_LENGTHS_MAX } from './lease.ts'

/** Rows that one statement forgets; the rest is forgotten by the next. */
const FORGOTTEN_MAX = 100

/** By handler: its live dispatchers, and since when there is none. `dispatchers` names the table, or a query like it. */
export function servedText(dispatchers: string, more = ''): string {
  return `SELECT h.handler, (count(d.owner) FILTER (WHERE d.until > now()))::int4 AS dispatchers,
                 CASE WHEN h.status = 'active' AND coalesce(max(d.until) <= now(), true)
                      THEN greatest(h.served_until, max(d.until)) END AS unserved_since${more}
            FROM handlers h
            LEFT JOIN (SELECT owner, until, unnest(handlers) AS handler FROM ${dispatchers}) AS d USING (handler)
           GROUP BY h.handler`
}

/** Forgets what `pick` finds. Handlers are locked in their order: two who forget different dispatchers may share some. */
function forgetText(pick: string): string {
  return `gone AS MATERIALIZED (
    SELECT owner, handlers, least(until, now()) AS until FROM dispatchers WHERE ${pick}
     ORDER BY owner LIMIT ${FORGOTTEN_MAX} FOR UPDATE SKIP LOCKED
  ), last AS MATERIALIZED (
    SELECT handler, max(until) AS until FROM (SELECT unnest(handlers) AS handler, until FROM gone) AS each GROUP BY 1
  ), locked AS MATERIALIZED (
    SELECT handler FROM handlers WHERE handler IN (SELECT handler FROM last) ORDER BY handler FOR UPDATE
  ), noted AS (
    UPDATE handlers h SET served_until = greatest(h.served_until, last.until)
      FROM last JOIN locked USING (handler) WHERE h.handler = last.handler
  ), forgotten AS (
    DELETE FROM dispatchers USING gone WHERE dispatchers.owner = gone.owner
  )`
}

/** Also where the database's clock went back since. */
const OVER = `owner <> $1 AND (until <= now()
  OR until > now() + ${LEASE_LENGTHS_MAX} * $3::float8 * interval '1 millisecond')`

const SERVE = {
  name: 'jobs_serve',
  text: `WITH ${forgetText(OVER)}, own AS (
    INSERT INTO dispatchers (owner, handlers, until)
    VALUES ($1, $2::text[], now() + $3::float8 * interval '1 millisecond')
    ON CONFLICT (owner) DO UPDATE SET until = excluded.until RETURNING owner, handlers, until
  ), known AS MATERIALIZED (
    SELECT owner, handlers, until FROM dispatchers WHERE owner <> $1
    UNION ALL SELECT owner, handlers, until FROM own
  ) SELECT handler, dispatchers, before, (extract(epoch FROM now() - unserved_since) * 1000)::float8 AS "unservedForMs",
           NOT EXISTS (SELECT FROM known WHERE owner < $1 AND until > now()) AS "isFirst",
           set_config('synchronous_commit', 'off', true)
      FROM (${servedText(
        'known',
        ', (count(d.owner) FILTER (WHERE d.until > now() AND d.owner < $1))::int4 AS before',
      )}) AS served`,
}

const END = { name: 'jobs_end_serving', text: `WITH ${forgetText('owner = $1')} SELECT` }

type ServedRow = ServedHandler & { readonly isFirst: boolean } & Record<string, unknown>

export function createServingStore(database: Queryable): ServingStore {
  return {
    serve: async ({ owner, handlers, ttlMs }) =>
      readServed(await database.query<ServedRow>(SERVE, [owner, textArray(handlers), ttlMs])),
    endServing: async (owner) => {
      await database.query(END, [owner])
    },
  }
}

function readServed(rows: readonly ServedRow[]): Served {
  return { isFirst: rows[0]?.isFirst ?? true, handlers: rows }
}
