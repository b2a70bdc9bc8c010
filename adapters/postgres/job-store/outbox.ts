/**
 * The outbox: attempts, plan steps and audit rows themselves, read behind a noted position in (incarnation, xid, id)
 * order. Only transactions below every running one are read, so a row that commits late is never behind the position.
 */
import type {
  NotedPosition,
  OutboxKind,
  OutboxPosition,
  OutboxRow,
  OutboxStore,
} from '../../../core/ports/outbox-store.ts'
import type { Database, Queryable } from '../database.ts'
import { onServer } from '../servers.ts'

interface Source {
  readonly key: string
  /** The record's own fields as a select list; identity and time are the same for all kinds. */
  readonly columns: string
}

const SOURCES: Readonly<Record<OutboxKind, Source>> = {
  plan_steps: {
    key: 'handler',
    columns: `'plan_step' AS kind, handler, topic, topic_id, partition_no AS partition, first_offset::text AS first,
      next_offset::text AS next, generation, counts, planned::text[] AS planned_offsets, dead_jobs`,
  },
  attempts: {
    key: 'event_id',
    columns: `'attempt' AS kind, job_id, event_id, handler, attempt, status_code, error_class AS error, error_detail,
      total_ms AS duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, remote_address, late, next_state,
      generation, translate(encode(response_body, 'base64'), E'\\n', '') AS response_body_base64,
      encode(request_digest, 'hex') AS request_digest`,
  },
  audit: {
    key: 'target',
    columns: `'audit' AS kind, actor, action, target, reason, details`,
  },
}

/**
 * Behind the noted position `p`, a row of the same statement: a value that the planner cannot see keeps it from taking
 * statistics for what is left to read, and so from sorting a day of rows instead of walking the index. Rows of earlier
 * incarnations have nobody left who could still commit them.
 */
const READABLE = `(incarnation, xid, id) > (p.incarnation, p.xid, p.id)
  AND (incarnation < (SELECT incarnation FROM store) OR xid < (SELECT pg_snapshot_xmin(pg_current_snapshot())))`

const START: OutboxPosition = { incarnation: 1, xid: '0', id: '0' }

interface Row extends Record<string, unknown> {
  readonly fromIncarnation: number
  readonly fromXid: string
  readonly fromId: string
  readonly incarnation: number
  readonly xid: string
  readonly number: string
  readonly id: string
  readonly key: string
  /** Null in the one row that only tells the noted position. */
  readonly value: string | null
}

export function createOutboxStore(database: Database): OutboxStore {
  return {
    readOutbox: (kind, limit) => readOutbox(database, kind, limit),
    advanceOutbox: async (kind, from, to) => {
      const rows = await onServer(database, from.server).query(
        `UPDATE relay_positions SET incarnation = $5::int4, xid = $6::xid8, id = $7::int8
          WHERE kind = $1 AND incarnation = $2::int4 AND xid = $3::xid8 AND id = $4::int8 RETURNING kind`,
        [kind, ...positionValues(from), ...positionValues(to)],
      )
      return rows.length > 0
    },
    outboxLag: async (kind) => {
      const from = await notedPosition(database, kind)
      const [row] = await database.query<{ lag: bigint }>(
        `SELECT count(*) AS lag FROM ${kind} WHERE (incarnation, xid, id) > ($1::int4, $2::xid8, $3::int8)`,
        positionValues(from),
      )
      return row?.lag ?? 0n
    },
  }
}

async function readOutbox(
  database: Database,
  kind: OutboxKind,
  limit: number,
): Promise<{ from: NotedPosition; rows: readonly OutboxRow[] }> {
  const server = database.server()
  const rows = await database.query<Row>(readStatement(kind), [kind, limit])
  const [noted] = rows
  return {
    from:
      noted === undefined
        ? { ...START, server }
        : { incarnation: noted.fromIncarnation, xid: noted.fromXid, id: noted.fromId, server },
    rows: rows.flatMap(({ incarnation, xid, number, id, key, value }) =>
      value === null ? [] : [{ position: { incarnation, xid, id: number }, id, key, value }],
    ),
  }
}

function readStatement(kind: OutboxKind): { name: string; text: string } {
  const { key, columns } = SOURCES[kind]
  return {
    name: `jobs_outbox_${kind}`,
    text: `SELECT p.incarnation AS "fromIncarnation", p.xid::text AS "fromXid", p.id::text AS "fromId", r.*
             FROM relay_positions p LEFT JOIN LATERAL (
               SELECT incarnation, xid::text AS xid, id::text AS number, incarnation || '.' || id AS id,
                      ${key} AS key,
                      (SELECT row_to_json(record)::text FROM (
                        SELECT incarnation || '.' || id AS id, (SELECT store_id FROM store) AS store_id,
                               to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS created_at, ${columns}
                      ) AS record) AS value
                 FROM ${kind} WHERE ${READABLE}
                ORDER BY ${kind}.incarnation, ${kind}.xid, ${kind}.id LIMIT $2::int4
             ) AS r ON true WHERE p.kind = $1`,
  }
}

async function notedPosition(database: Queryable, kind: OutboxKind): Promise<OutboxPosition> {
  const [row] = await database.query<OutboxPosition & Record<string, unknown>>(
    {
      name: 'jobs_outbox_position',
      text: 'SELECT incarnation, xid::text AS xid, id::text AS id FROM relay_positions WHERE kind = $1',
    },
    [kind],
  )
  return row ?? START
}

function positionValues({ incarnation, xid, id }: OutboxPosition): readonly unknown[] {
  return [incarnation, xid, id]
}
