/** Requests for legal holds: written by the API with their audit rows, taken by an archiver in the order of their numbers. */
import type { AuditEntry } from '../../../core/ports/dead-letter-store.ts'
import type { HoldRequest, HoldStore, HoldView, OpenHoldRequest } from '../../../core/ports/hold-store.ts'
import type { Database, Queryable } from '../database.ts'
import { cleanText } from './columns.ts'
import { pageOf, writeAudit } from './operator.ts'

const RANGE = `CASE WHEN h.topic IS NULL THEN NULL ELSE json_build_object('topic', h.topic, 'topic_id', h.topic_id,
  'partition', h.partition_no, 'from', h.from_offset::text, 'to', h.to_offset::text) END`
const REQUEST = `h.hold_id AS "holdId", h.action, ${RANGE} AS range, h.event_id AS "eventId", h.reason`
const REQUESTED_AT = '(extract(epoch FROM h.requested_at) * 1000)::float8'

const HOLDS = `SELECT ${REQUEST}, ${REQUESTED_AT} AS "requestedAtMs", h.note_n AS "noteN",
    CASE WHEN r.hold_id IS NULL THEN NULL ELSE json_build_object('reason', r.reason, 'noteN', r.note_n::text) END AS release
   FROM hold_requests h LEFT JOIN hold_requests r ON r.hold_id = h.hold_id AND r.action = 'release'
  WHERE h.action = 'hold'`

export function createHoldStore(database: Database): HoldStore {
  return {
    requestHold: (request, audit) =>
      database.transaction((transaction) => requestHold(transaction, request, audit)),
    getHold: async (holdId) => {
      const [hold] = await database.query<HoldView & Record<string, unknown>>(`${HOLDS} AND h.hold_id = $1`, [
        holdId,
      ])
      return hold ?? null
    },
    // By their numbers, not by their ids: clocks of APIs differ.
    listHolds: async ({ cursor, limit }) => {
      const rows = await database.query<HoldView & Record<string, unknown>>(
        `${HOLDS} AND ($1::text IS NULL OR h.request_no < (
           SELECT request_no FROM hold_requests WHERE hold_id = $1 AND action = 'hold'))
         ORDER BY h.request_no DESC LIMIT $2::int4`,
        [cursor ?? null, limit + 1],
      )
      return pageOf(rows, limit, ({ holdId }) => holdId)
    },
    openHoldRequests: (limit) =>
      database.query<OpenHoldRequest & Record<string, unknown>>(
        `SELECT h.request_no AS "requestNo", ${REQUEST}
           FROM hold_requests h WHERE h.note_n IS NULL ORDER BY h.request_no LIMIT $1::int4`,
        [limit],
      ),
    markHoldSigned: async (requestNo, n) => {
      await database.query(
        'UPDATE hold_requests SET note_n = $2::int8 WHERE request_no = $1::int8 AND note_n IS NULL',
        [requestNo.toString(), n.toString()],
      )
    },
  }
}

async function requestHold(
  transaction: Queryable,
  { holdId, action, range, eventId, reason }: HoldRequest,
  audit: AuditEntry,
): Promise<boolean> {
  const isRelease = action === 'release'
  const made = await transaction.query(
    `INSERT INTO hold_requests (hold_id, action, topic, topic_id, partition_no, from_offset, to_offset, event_id, reason)
     SELECT $1, $2, $3, $4, $5::int4, $6::int8, $7::int8, $8, $9
      WHERE NOT $10::bool OR EXISTS (SELECT 1 FROM hold_requests WHERE hold_id = $1 AND action = 'hold')
     ON CONFLICT DO NOTHING RETURNING request_no`,
    [
      ...[cleanText(holdId), action, range?.topic ?? null, range?.topic_id ?? null, range?.partition ?? null],
      ...[range?.from ?? null, range?.to ?? null, eventId, cleanText(reason), isRelease],
    ],
  )
  if (made.length === 0) return false
  await writeAudit(transaction, audit)
  return true
}
