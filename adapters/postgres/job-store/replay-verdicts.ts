/**
 * Verdicts for a replay: those of the index, of `events` and first_seen as for every handler behind it. Records that both
 * have forgotten are judged among themselves, in the order in which the replay meets them: replay_seen remembers who holds
 * a key, for this replay alone. One replay decides at a time, so that two partitions never both are first.
 */
import type { StepRequest, Verdict } from '../../../core/ports/plan-store.ts'
import type { Queryable } from '../database.ts'
import { claimColumns, idClaims, walkStep } from './step-claims.ts'
import { readSeen, rememberedVerdicts, repeatedIds, standingOf, without } from './verdicts.ts'

const LOCK = { name: 'replays_lock_seen', text: 'SELECT pg_advisory_xact_lock(hashtextextended($1, 0))' }

const CLAIM = {
  name: 'replays_claim',
  text: `INSERT INTO replay_seen (name, source, key, topic_id, partition_no, record_offset, timestamp_ms, event_id, body_digest)
    SELECT $1, source, key, $2, $3::int4, record_offset, timestamp_ms, event_id, body_digest
      FROM unnest($4::text[], $5::text[], $6::int8[], $7::int8[], $8::text[], $9::bytea[])
        AS c (source, key, record_offset, timestamp_ms, event_id, body_digest)
    ON CONFLICT (name, source, key) DO UPDATE
      SET topic_id = excluded.topic_id, partition_no = excluded.partition_no, record_offset = excluded.record_offset,
          timestamp_ms = excluded.timestamp_ms, event_id = excluded.event_id, body_digest = excluded.body_digest`,
}

export async function replayVerdicts(
  transaction: Queryable,
  name: string,
  request: StepRequest,
): Promise<ReadonlyMap<bigint, Verdict>> {
  const remembered = await rememberedVerdicts(transaction, request)
  const unknown = without(request, remembered)
  if (unknown.claims.length === 0) return remembered
  return new Map([...remembered, ...(await verdictsInside(transaction, name, unknown))])
}

async function verdictsInside(
  transaction: Queryable,
  name: string,
  request: StepRequest,
): Promise<ReadonlyMap<bigint, Verdict>> {
  await transaction.query(LOCK, [name])
  const seen = await readSeen(transaction, request, name)
  const repeated = repeatedIds(seen, request)
  const others = without(request, repeated)
  const walked = walkStep(others, standingOf(seen, others))
  const claims = [...walked.holders.values(), ...idClaims(others, walked)]
  if (claims.length > 0)
    await transaction.query(CLAIM, [name, request.topicId, request.partition, ...claimColumns(claims)])
  return new Map([...repeated, ...walked.verdicts])
}
