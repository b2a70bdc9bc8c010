/**
 * Who saw a key first. The first committer wins; whoever comes second waits for it on the key's row. Claims go in
 * sorted by (source, key), so that two partitions with the same keys in opposite order wait, and never deadlock.
 */
import {
  INDEX_HANDLER,
  type DedupClaim,
  type StepRequest,
  type Verdict,
} from '../../../core/ports/job-store.ts'
import type { Queryable } from '../pool.ts'
import { byteaArray, int8Array, textArray } from '../sql.ts'
import { texts } from './columns.ts'
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

const FIRST: Verdict = { kind: 'first' }

/**
 * Locks the positions in the order of handlers; only when the index is among those at `first`, claims the keys. Rows
 * within the window stay as they are (and locked) and are not returned; older ones are replaced.
 */
const LOCK_AND_CLAIM = {
  name: 'jobs_lock_and_claim',
  text: `WITH locked AS MATERIALIZED (
    SELECT handler FROM (
      SELECT handler, next_offset FROM positions
       WHERE topic_id = $1 AND partition_no = $2::int4 AND handler = ANY ($3::text[]) ORDER BY handler FOR UPDATE
    ) AS current WHERE next_offset = $4::int8
  ), claimed AS (
    INSERT INTO first_seen AS seen
      (source, key, topic_id, partition_no, record_offset, timestamp_ms, event_id, body_digest)
    SELECT source, key, $1, $2::int4, record_offset, timestamp_ms, event_id, body_digest
      FROM unnest($5::text[], $6::text[], $7::int8[], $8::int8[], $9::text[], $10::bytea[])
        AS c (source, key, record_offset, timestamp_ms, event_id, body_digest)
     WHERE (SELECT count(*) FROM locked WHERE handler = '') > 0
    ON CONFLICT (source, key) DO UPDATE
      SET topic_id = excluded.topic_id, partition_no = excluded.partition_no,
          record_offset = excluded.record_offset, timestamp_ms = excluded.timestamp_ms,
          event_id = excluded.event_id, body_digest = excluded.body_digest
    WHERE abs(seen.timestamp_ms - excluded.timestamp_ms) > $11::int8
    RETURNING record_offset
  ) SELECT handler, NULL::int8 AS claimed FROM locked UNION ALL SELECT NULL, record_offset FROM claimed`,
}

export interface LockedClaims {
  readonly handlers: ReadonlySet<string>
  /** Offsets whose keys are the step's own now. */
  readonly claimed: ReadonlySet<bigint>
}

const READ = {
  name: 'jobs_read_keys',
  text: `SELECT seen.source, seen.key, topic_id AS "topicId", partition_no AS partition, record_offset AS offset,
                timestamp_ms AS "timestampMs", event_id AS "eventId", body_digest AS "bodyDigest"
           FROM unnest($1::text[], $2::text[]) AS c (source, key)
           JOIN first_seen AS seen ON seen.source = c.source AND seen.key = c.key`,
}

/** One round trip for both. */
export async function lockAndClaim(transaction: Queryable, request: StepRequest): Promise<LockedClaims> {
  const claims = request.handlers.includes(INDEX_HANDLER) ? claimsInOrder(request) : []
  const rows = await transaction.query<{ handler: string | null; claimed: bigint | null }>(LOCK_AND_CLAIM, [
    request.topicId,
    request.partition,
    textArray(request.handlers),
    request.first.toString(),
    ...claimColumns(claims),
    windowOf(request).toString(),
  ])
  return {
    handlers: new Set(rows.flatMap(({ handler }) => handler ?? [])),
    claimed: new Set(rows.flatMap(({ claimed }) => claimed ?? [])),
  }
}

/** What goes into first_seen, one for each key, sorted: locks are taken one row after the other. */
export function claimsInOrder(request: StepRequest): readonly DedupClaim[] {
  return [...winnersOf(request.claims).values()].sort(byKey)
}

/** text[] source, text[] key, int8[] record_offset, int8[] timestamp_ms, text[] event_id, bytea[] body_digest. */
export function claimColumns(claims: readonly DedupClaim[]): readonly Buffer[] {
  return [
    texts(claims, ({ source }) => source),
    textArray(claims.map(({ key }) => storedKey(key))),
    int8Array(claims.map(({ offset }) => offset)),
    int8Array(claims.map(({ timestampMs }) => timestampMs)),
    texts(claims, ({ eventId }) => eventId),
    byteaArray(claims.map(({ bodyDigest }) => bodyDigest)),
  ]
}

/** The verdicts of a step whose keys nobody has claimed before: only within it are there duplicates. */
export function verdictsIfNew(request: StepRequest): ReadonlyMap<bigint, Verdict> {
  const winners = winnersOf(request.claims)
  return new Map(
    request.claims.map((claim) => {
      const winner = winners.get(nameOf(claim)) ?? claim
      return [claim.offset, claim.offset === winner.offset ? FIRST : duplicateOf(winner, claim)]
    }),
  )
}

/** Of equal keys within the step the lowest offset claims. Rows that the claim met are locked: what is read counts. */
export async function claimedVerdicts(
  transaction: Queryable,
  request: StepRequest,
  claimed: ReadonlySet<bigint>,
): Promise<ReadonlyMap<bigint, Verdict>> {
  const winners = winnersOf(request.claims)
  const others = [...winners.values()].filter(({ offset }) => !claimed.has(offset))
  const seen = await readSeen(transaction, others)
  return new Map(
    request.claims.map((claim) => {
      const winner = winners.get(nameOf(claim)) ?? claim
      if (!claimed.has(winner.offset)) return [claim.offset, judge(seen.get(nameOf(claim)), claim, request)]
      return [claim.offset, claim.offset === winner.offset ? FIRST : duplicateOf(winner, claim)]
    }),
  )
}

/** For handlers behind the index: the verdict stands in first_seen already. */
export async function readVerdicts(
  transaction: Queryable,
  request: StepRequest,
): Promise<ReadonlyMap<bigint, Verdict>> {
  const winners = winnersOf(request.claims)
  const seen = await readSeen(transaction, [...winners.values()])
  return new Map(
    request.claims.map((claim) => {
      const row = seen.get(nameOf(claim))
      const winner = winners.get(nameOf(claim)) ?? claim
      // Without a row (purged) the step decides within itself.
      if (row === undefined && winner.offset !== claim.offset)
        return [claim.offset, duplicateOf(winner, claim)]
      return [claim.offset, judge(row, claim, request)]
    }),
  )
}

async function readSeen(
  transaction: Queryable,
  claims: readonly DedupClaim[],
): Promise<ReadonlyMap<string, SeenRow>> {
  if (claims.length === 0) return new Map()
  const rows = await transaction.query<SeenRow>(READ, [
    texts(claims, ({ source }) => source),
    textArray(claims.map(({ key }) => storedKey(key))),
  ])
  return new Map(rows.map((row) => [`${row.source}\n${row.key}`, row]))
}

function judge(row: SeenRow | undefined, claim: DedupClaim, { topicId, partition }: StepRequest): Verdict {
  if (row === undefined) return FIRST
  if (row.topicId === topicId && row.partition === partition && row.offset === claim.offset) return FIRST
  const apartMs = row.timestampMs - claim.timestampMs
  return (apartMs < 0n ? -apartMs : apartMs) > BigInt(claim.windowMs) ? FIRST : duplicateOf(row, claim)
}

function duplicateOf(original: { eventId: string; bodyDigest: Buffer }, claim: DedupClaim): Verdict {
  return {
    kind: 'duplicate',
    originalEventId: original.eventId,
    conflict: !original.bodyDigest.equals(claim.bodyDigest),
  }
}

function winnersOf(claims: readonly DedupClaim[]): Map<string, DedupClaim> {
  const winners = new Map<string, DedupClaim>()
  for (const claim of claims) {
    const name = nameOf(claim)
    const earlier = winners.get(name)
    if (earlier === undefined || claim.offset < earlier.offset) winners.set(name, claim)
  }
  return winners
}

/** All claims of one step come from one configuration, so they share their window. */
function windowOf({ claims }: StepRequest): number {
  return claims[0]?.windowMs ?? 0
}

/** As the table knows it: sources hold no line breaks, so that the pair is unambiguous. */
function nameOf({ source, key }: { source: string; key: string }): string {
  return `${source}\n${storedKey(key)}`
}

/** Any total order does, as long as every planner has the same. */
function byKey(a: DedupClaim, b: DedupClaim): number {
  if (a.source !== b.source) return a.source < b.source ? -1 : 1
  return a.key < b.key ? -1 : 1
}
