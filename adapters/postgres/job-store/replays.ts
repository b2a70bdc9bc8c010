/**
 * Replays as operators see and change them, and as the dispatcher's desk finds what is to be done. Ranges are written with
 * the replay and never change; each action is one transaction with its audit row (I9). A cancel locks the replay's row,
 * then its ranges, then discards: who plans or takes is either committed before, and discarded, or finds it cancelled.
 */
import type { AuditEntry } from '../../../core/ports/dead-letter-store.ts'
import type { Page } from '../../../core/ports/operator-store.ts'
import {
  OPEN_REPLAYS_MAX,
  type NewReplay,
  type OpenReplay,
  type ReplayAction,
  type ReplayStore,
  type ReplayView,
} from '../../../core/ports/replay-store.ts'
import { replayName } from '../../../core/replay/replay-name.ts'
import type { Database, Queryable } from '../database.ts'
import { int4Array, int8Array, textArray } from '../sql.ts'
import { cleanText, jsonText } from './columns.ts'
import { writeAudit } from './operator.ts'
import { COUNTS, RANGES, RESULT, SCOPE } from './replay-columns.ts'
import { discardJobs, settleReplays } from './settle-replays.ts'

const VIEW = `SELECT ${SCOPE},
    CASE WHEN r.status = 'running' AND r.ended_at IS NOT NULL THEN 'completed' ELSE r.status END AS status,
    r.per_second AS "perSecond", r.asked, r.reason, ${RANGES}, ${COUNTS},
    CASE WHEN r.ended_at IS NULL THEN ${RESULT} ELSE r.result::json END AS result,
    (extract(epoch FROM r.created_at) * 1000)::float8 AS "createdAtMs",
    (extract(epoch FROM r.ended_at) * 1000)::float8 AS "endedAtMs" FROM replays r`

const OPEN = {
  name: 'replays_open',
  text: `SELECT ${SCOPE}, r.name, r.status, r.per_second AS "perSecond", ${RANGES}, due.jobs AS ready, waiting.jobs AS retryable
           FROM replays r
          CROSS JOIN LATERAL (SELECT count(*)::int4 AS jobs FROM jobs WHERE handler = r.name AND due <= now()) AS due
          CROSS JOIN LATERAL (SELECT count(*)::int4 AS jobs FROM jobs WHERE handler = r.name AND due > now()) AS waiting
          WHERE r.ended_at IS NULL AND r.status IN ('counting', 'running', 'cancelled')
            AND (r.handler = ANY ($1::text[]) OR r.to_topic IS NOT NULL)
          ORDER BY r.replay_id`,
}

/** From which states, and to which. */
const CHANGES: Readonly<Record<ReplayAction, { readonly from: readonly string[]; readonly to: string }>> = {
  pause: { from: ['running'], to: 'paused' },
  resume: { from: ['paused', 'counting', 'counted'], to: 'running' },
  cancel: { from: ['counting', 'counted', 'running', 'paused'], to: 'cancelled' },
}

type Row<T> = T & Record<string, unknown>
type RangeTexts = readonly (Omit<ReplayView['ranges'][number], 'first' | 'next' | 'end'> &
  Readonly<Record<'first' | 'next' | 'end', string>>)[]
type Listed<T> = Omit<T, 'ranges'> & { readonly ranges: RangeTexts }
type ViewRow = Listed<Omit<ReplayView, 'delivered' | 'dead' | 'discarded' | 'open'>> & {
  readonly result: Pick<ReplayView, 'delivered' | 'dead' | 'discarded' | 'open'>
}

export function createReplayStore(database: Database): ReplayStore {
  return {
    createReplay: (replay) => database.transaction((transaction) => createReplay(transaction, replay)),
    listReplays: (filter) => listReplays(database, filter),
    getReplay: async (replayId) => {
      const [row] = await database.query<Row<ViewRow>>(`${VIEW} WHERE r.replay_id = $1`, [
        cleanText(replayId),
      ])
      return row === undefined ? null : viewOf(row)
    },
    changeReplay: (replayId, action, audit) =>
      database.transaction((transaction) => changeReplay(transaction, { replayId, action, audit })),
    openReplays: async (handlers) => {
      const rows = await database.query<Row<Listed<OpenReplay>>>(OPEN, [textArray(handlers)])
      return rows.map(withOffsets)
    },
    settleReplays: () => database.transaction(settleReplays),
  }
}

async function createReplay(transaction: Queryable, replay: NewReplay): Promise<'created' | 'too-many'> {
  const { replayId, handler, ranges, audit } = replay
  // One after the other for each handler, or for all topics, so that the bound holds.
  await transaction.query('SELECT pg_advisory_xact_lock(hashtext($1))', [`replays of ${handler}`])
  const open = await transaction.query(
    'SELECT 1 FROM replays WHERE handler = $1 AND ended_at IS NULL AND replay_id <> $2',
    [handler, replayId],
  )
  if (open.length >= OPEN_REPLAYS_MAX) return 'too-many'
  const name = replayName(handler, replayId)
  const made = await transaction.query(
    `INSERT INTO replays (name, replay_id, handler, source, topic, status, filter, event_ids, per_second, asked, reason,
                          to_topic)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text[], $9::float8, $10::jsonb, $11, $12)
     ON CONFLICT DO NOTHING RETURNING name`,
    [
      ...[name, replayId, handler, replay.source, replay.topic, replay.isDryRun ? 'counting' : 'running'],
      ...[replay.filter, replay.eventIds === null ? null : textArray(replay.eventIds), replay.perSecond],
      ...[jsonText(replay.asked), audit.reason === null ? null : cleanText(audit.reason)],
      replay.toTopic,
    ],
  )
  if (made.length === 0) return 'created'
  await transaction.query(
    `INSERT INTO replay_ranges (name, topic_id, partition_no, first_offset, next_offset, end_offset)
     SELECT $1, topic_id, partition_no, first, first, stop
       FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[]) AS g (topic_id, partition_no, first, stop)`,
    [
      name,
      textArray(ranges.map(({ topicId }) => topicId)),
      int4Array(ranges.map(({ partition }) => partition)),
      int8Array(ranges.map(({ first }) => first)),
      int8Array(ranges.map(({ end }) => end)),
    ],
  )
  await writeAudit(transaction, audit)
  return 'created'
}

async function listReplays(
  database: Queryable,
  { handler, cursor, limit }: Parameters<ReplayStore['listReplays']>[0],
): Promise<Page<ReplayView>> {
  const rows = await database.query<Row<ViewRow>>(
    `${VIEW} WHERE ($1::text IS NULL OR r.handler = $1) AND ($2::text IS NULL OR r.replay_id < $2)
      ORDER BY r.replay_id DESC LIMIT $3::int4`,
    [handler ?? null, cursor ?? null, limit + 1],
  )
  const items = rows.slice(0, limit).map(viewOf)
  return { items, next: rows.length > limit ? (items.at(-1)?.replayId ?? null) : null }
}

interface Change {
  readonly replayId: string
  readonly action: ReplayAction
  readonly audit: AuditEntry
}

async function changeReplay(
  transaction: Queryable,
  { replayId, action, audit }: Change,
): ReturnType<ReplayStore['changeReplay']> {
  const { from, to } = CHANGES[action]
  const [row] = await transaction.query<{ name: string; status: string; is_over: boolean }>(
    'SELECT name, status, ended_at IS NOT NULL AS is_over FROM replays WHERE replay_id = $1 FOR UPDATE',
    [cleanText(replayId)],
  )
  if (row === undefined) return 'not-found'
  const { name, status, is_over: isOver } = row
  if (isOver || !from.includes(status)) return 'refused'
  await transaction.query('UPDATE replays SET status = $2, paced_to = now() WHERE name = $1', [name, to])
  await transaction.query(
    'SELECT FROM replay_ranges WHERE name = $1 ORDER BY topic_id, partition_no FOR UPDATE',
    [name],
  )
  if (action === 'resume' && status !== 'paused') await beginAnew(transaction, name)
  const discarded = action === 'cancel' ? { discarded: await discardJobs(transaction, [name]) } : {}
  await writeAudit(transaction, { ...audit, details: { ...audit.details, before: status, ...discarded } })
  return 'changed'
}

/** What was counted is planned now, over the same offsets. */
async function beginAnew(transaction: Queryable, name: string): Promise<void> {
  await transaction.query(
    "UPDATE replay_ranges SET next_offset = first_offset, counts = '{}' WHERE name = $1",
    [name],
  )
  await transaction.query('DELETE FROM replay_seen WHERE name = $1', [name])
}

function viewOf({ result, ...row }: ViewRow): ReplayView {
  return { ...withOffsets(row), ...result }
}

function withOffsets<T extends { readonly ranges: RangeTexts }>(row: T) {
  const ranges = row.ranges.map(({ first, next, end, ...at }) => ({
    ...at,
    ...{ first: BigInt(first), next: BigInt(next), end: BigInt(end) },
  }))
  return { ...row, ranges }
}
