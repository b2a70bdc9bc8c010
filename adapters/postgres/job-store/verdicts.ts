/**
 * Who saw a key first, and an event id. The first committer wins; whoever comes second waits for it on the row. Claims
 * go in sorted by (source, key), so that two partitions with the same keys in opposite order wait, and never deadlock.
 */
import {
  type DedupClaim,
  INDEX_HANDLER,
  type StepRequest,
  type Verdict,
} from '../../../core/ports/plan-store.ts'
import type { Queryable } from '../database.ts'
import { textArray } from '../sql.ts'
import { texts } from './columns.ts'
import { readIndexed } from './indexed-verdicts.ts'
import { MAY_PLAN } from './may-plan.ts'
import {
  claimColumns,
  claimsInOrder,
  duplicateOf,
  idClaims,
  nameOf,
  walkStep,
  within,
  type Standing,
  type WalkedStep,
} from './step-claims.ts'
import { storedKey } from './stored-key.ts'

interface SeenRow extends Record<string, unknown> {
  readonly source: string
  readonly key: string
  readonly topicId: string
  readonly partition: number
  readonly offset: bigint
  readonly timestampMs: bigint
  readonly eventId: string
  readonly bodyDigest: Buffer
}

const CLAIMS = 'c (source, key, record_offset, timestamp_ms, event_id, body_digest)'
const COLUMNS = 'source, key, topic_id, partition_no, record_offset, timestamp_ms, event_id, body_digest'

/**
 * Locks the positions in the order of handlers, where the store takes steps of the kind $12; only when the index is among those at `first`, claims the keys. Rows
 * within the window stay as they are (and locked) and are not returned; older ones are replaced. An id that stands under
 * another key claims nothing (LIMIT keeps Postgres from making this a join, which could read the whole table).
 */
const LOCK_AND_CLAIM = {
  name: 'jobs_lock_and_claim',
  text: `WITH locked AS MATERIALIZED (
    SELECT handler FROM (
      SELECT handler, next_offset FROM positions
       WHERE topic_id = $1 AND partition_no = $2::int4 AND handler = ANY ($3::text[]) ORDER BY handler FOR UPDATE
    ) AS current WHERE next_offset = $4::int8
       AND (SELECT CASE WHEN $12 = 'recovering' THEN state = $12 ELSE ${MAY_PLAN} END FROM store)
  ), claimed AS (
    INSERT INTO first_seen AS seen (${COLUMNS})
    SELECT source, key, $1, $2::int4, record_offset, timestamp_ms, event_id, body_digest
      FROM unnest($5::text[], $6::text[], $7::int8[], $8::int8[], $9::text[], $10::bytea[]) AS ${CLAIMS}
     WHERE (SELECT count(*) FROM locked WHERE handler = '') > 0
       AND coalesce((SELECT false FROM first_seen AS one WHERE one.event_id = c.event_id
                        AND (one.source, one.key) <> (c.source, c.key) LIMIT 1), true)
    ON CONFLICT (source, key) DO UPDATE
      SET topic_id = excluded.topic_id, partition_no = excluded.partition_no,
          record_offset = excluded.record_offset, timestamp_ms = excluded.timestamp_ms,
          event_id = excluded.event_id, body_digest = excluded.body_digest
    WHERE abs(seen.timestamp_ms - excluded.timestamp_ms) > $11::int8 AND seen.event_id <> excluded.event_id
    RETURNING record_offset
  ) SELECT handler, NULL::int8 AS claimed FROM locked UNION ALL SELECT NULL, record_offset FROM claimed`,
}

const CLAIM_IDS = {
  name: 'jobs_claim_ids',
  text: `INSERT INTO first_seen (${COLUMNS})
    SELECT source, key, $1, $2::int4, record_offset, timestamp_ms, event_id, body_digest
      FROM unnest($3::text[], $4::text[], $5::int8[], $6::int8[], $7::text[], $8::bytea[]) AS ${CLAIMS}
    ON CONFLICT DO NOTHING RETURNING record_offset AS offset`,
}

export interface LockedClaims {
  readonly handlers: ReadonlySet<string>
  /** Offsets whose keys are the step's own now. */
  readonly claimed: ReadonlySet<bigint>
}

const SEEN = `seen.source, seen.key, topic_id AS "topicId", partition_no AS partition, record_offset AS offset,
           timestamp_ms AS "timestampMs", event_id AS "eventId", body_digest AS "bodyDigest"`

/** By key and by event id. */
const readText = (table: string, more: string): string => `
  SELECT ${SEEN} FROM unnest($1::text[], $2::text[]) AS c (source, key)
    JOIN ${table} AS seen ON seen.source = c.source AND seen.key = c.key${more}
  UNION ALL
  SELECT ${SEEN} FROM unnest($3::text[]) AS c (id) JOIN ${table} AS seen ON seen.event_id = c.id${more}`

const READ = { name: 'jobs_read_seen', text: readText('first_seen', '') }
const READ_REPLAYED = { name: 'replays_read_seen', text: readText('replay_seen', ' AND seen.name = $4') }

/** A step of planning, or of a recovery: only while the store is in that state anything is locked. */
export interface StepClaim {
  readonly request: StepRequest
  readonly state: 'ok' | 'recovering'
}

/** One round trip for both. */
export async function lockAndClaim(
  transaction: Queryable,
  { request, state }: StepClaim,
): Promise<LockedClaims> {
  const claims = request.handlers.includes(INDEX_HANDLER) ? claimsInOrder(request) : []
  const rows = await transaction.query<{ handler: string | null; claimed: bigint | null }>(LOCK_AND_CLAIM, [
    request.topicId,
    request.partition,
    textArray(request.handlers),
    request.first.toString(),
    ...claimColumns(claims),
    windowOf(request).toString(),
    state,
  ])
  return {
    handlers: new Set(rows.flatMap(({ handler }) => handler ?? [])),
    claimed: new Set(rows.flatMap(({ claimed }) => claimed ?? [])),
  }
}

/** An id that another partition claimed meanwhile: the step is to be judged again. */
export class IdRaceError extends Error {}

/** Rows that the claim met are locked: what is read counts. @throws IdRaceError */
export async function claimedVerdicts(
  transaction: Queryable,
  { request, state }: StepClaim,
  claimed: ReadonlySet<bigint>,
): Promise<ReadonlyMap<bigint, Verdict>> {
  const alone = walkStep(request)
  if (holdsAll(claimed, [...alone.holders.values()])) return withOwnIds(transaction, request, alone)
  const seen = await readSeen(transaction, request)
  const repeated = repeatedIds(seen, request)
  if (repeated.size > 0) {
    // What claims nothing itself must not keep its key from a record behind it.
    const others = { state, request: without(request, repeated) }
    const again = await lockAndClaim(transaction, others)
    return new Map([...repeated, ...(await claimedVerdicts(transaction, others, again.claimed))])
  }
  const standing = standingOf(seen, request)
  const walked = walkStep(request, standing)
  const moved = [...walked.holders.values()].filter(
    (claim) => standing.get(nameOf(claim))?.at !== claim.offset,
  )
  if (moved.length > 0) {
    const again = await lockAndClaim(transaction, { state, request: { ...request, claims: moved } })
    if (!holdsAll(again.claimed, moved)) throw new IdRaceError('an event id was claimed meanwhile')
  }
  // Whose key went on in the step keeps its id by the trigger of first_seen.
  const own = new Set([...standing.values()].map((row) => row.at))
  const unknown = request.claims.filter(({ offset }) => !own.has(offset))
  return withOwnIds(transaction, { ...request, claims: unknown }, walked)
}

type IsJudged = (claim: DedupClaim, standing: Standing | undefined) => boolean

/** For handlers behind the index: as it was judged then; by first_seen where the index's row is no longer kept. */
export function readVerdicts(
  transaction: Queryable,
  request: StepRequest,
): Promise<ReadonlyMap<bigint, Verdict>> {
  return verdictsBehind(transaction, request, () => true)
}

/**
 * The same, without the records that neither remembers. Who holds the key of a record outside the window says nothing of
 * it: whoever held it then may be forgotten.
 */
export function rememberedVerdicts(
  transaction: Queryable,
  request: StepRequest,
): Promise<ReadonlyMap<bigint, Verdict>> {
  return verdictsBehind(
    transaction,
    request,
    (claim, row) => row !== undefined && (row.at === claim.offset || within(claim, row) !== null),
  )
}

async function verdictsBehind(
  transaction: Queryable,
  request: StepRequest,
  isJudged: IsJudged,
): Promise<ReadonlyMap<bigint, Verdict>> {
  const indexed = await readIndexed(transaction, request)
  const rest = without(request, indexed)
  const seen = await readSeen(transaction, rest)
  const standing = standingOf(seen, rest)
  const repeated = repeatedIds(seen, rest)
  const others = without(rest, repeated)
  const claims = others.claims.filter((claim) => isJudged(claim, standing.get(nameOf(claim))))
  return new Map([...indexed, ...repeated, ...walkStep({ ...others, claims }, standing).verdicts])
}

/** An event that holds no key claims its id; where that is taken the record is one of that id. */
async function withOwnIds(
  transaction: Queryable,
  request: StepRequest,
  walked: WalkedStep,
): Promise<ReadonlyMap<bigint, Verdict>> {
  const { verdicts } = walked
  const claims = idClaims(request, walked)
  if (claims.length === 0) return verdicts
  const { topicId, partition } = request
  const rows = await transaction.query<{ offset: bigint }>(CLAIM_IDS, [
    topicId,
    partition,
    ...claimColumns(claims),
  ])
  const claimed = new Set(rows.map(({ offset }) => offset))
  const taken = claims
    .filter(({ offset }) => !claimed.has(offset))
    .map(({ offset, eventId }): [bigint, Verdict] => [
      offset,
      { kind: 'duplicate', originalEventId: eventId, conflict: true },
    ])
  return new Map([...verdicts, ...taken])
}

export interface Seen {
  readonly byName: ReadonlyMap<string, SeenRow>
  readonly byId: ReadonlyMap<string, SeenRow>
}

/** @param replay its name: what was seen inside it, instead of by the index */
export async function readSeen(
  transaction: Queryable,
  { claims }: StepRequest,
  replay: string | null = null,
): Promise<Seen> {
  if (claims.length === 0) return { byName: new Map(), byId: new Map() }
  const rows = await transaction.query<SeenRow>(replay === null ? READ : READ_REPLAYED, [
    texts(claims, ({ source }) => source),
    textArray(claims.map(({ key }) => storedKey(key))),
    texts(claims, ({ eventId }) => eventId),
    ...(replay === null ? [] : [replay]),
  ])
  return {
    byName: new Map(rows.map((row) => [`${row.source}\n${row.key}`, row])),
    byId: new Map(rows.map((row) => [row.eventId, row])),
  }
}

/** Records whose event id stands at another place of the log: never another event, whatever their key. */
export function repeatedIds({ byId }: Seen, request: StepRequest): ReadonlyMap<bigint, Verdict> {
  return new Map(
    request.claims.flatMap((claim): [bigint, Verdict][] => {
      const row = byId.get(claim.eventId)
      return row === undefined || isAt(row, claim, request) ? [] : [[claim.offset, duplicateOf(row, claim)]]
    }),
  )
}

export function standingOf({ byName }: Seen, request: StepRequest): ReadonlyMap<string, Standing> {
  const { topicId, partition } = request
  return new Map(
    [...byName].map(([name, row]) => {
      const isHere = row.topicId === topicId && row.partition === partition
      return [name, { ...row, at: isHere ? row.offset : null }]
    }),
  )
}

function holdsAll(claimed: ReadonlySet<bigint>, claims: readonly DedupClaim[]): boolean {
  return claims.every(({ offset }) => claimed.has(offset))
}

function isAt(row: SeenRow, { offset }: DedupClaim, { topicId, partition }: StepRequest): boolean {
  return row.topicId === topicId && row.partition === partition && row.offset === offset
}

export function without(request: StepRequest, verdicts: ReadonlyMap<bigint, Verdict>): StepRequest {
  return { ...request, claims: request.claims.filter(({ offset }) => !verdicts.has(offset)) }
}

/** All claims of one step come from one configuration, so they share their window. */
function windowOf({ claims }: StepRequest): number {
  return claims[0]?.windowMs ?? 0
}
