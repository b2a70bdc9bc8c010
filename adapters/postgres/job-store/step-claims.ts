/**
 * The claims of one planning step among themselves, pure: of equal keys, and of equal event ids, the lowest offset
 * counts. A log may hold one id twice: a producer resends after a lost ack, or somebody else writes an id that is
 * taken. Either way the later record is a duplicate of its own id, whatever its key.
 */
import type { DedupClaim, StepRequest, Verdict } from '../../../core/ports/job-store.ts'
import { byteaArray, int8Array, textArray } from '../sql.ts'
import { texts } from './columns.ts'
import { storedKey } from './stored-key.ts'

export const FIRST: Verdict = { kind: 'first' }
/** Of rows that hold the id of an event whose key another event has. No source has this name. */
const IDS_SOURCE = ''

export interface StepClaims {
  /** By name, the claims that go into first_seen. */
  readonly winners: ReadonlyMap<string, DedupClaim>
  /** By event id, the claim at the lowest offset. */
  readonly byId: ReadonlyMap<string, DedupClaim>
}

export function stepClaims({ claims }: StepRequest): StepClaims {
  const byId = lowestBy(claims, ({ eventId }) => eventId)
  const winners = lowestBy(
    claims.filter((claim) => byId.get(claim.eventId) === claim),
    nameOf,
  )
  return { winners, byId }
}

/** For keys and ids that nobody has claimed before the step. */
export function verdictWithin({ winners, byId }: StepClaims, claim: DedupClaim): Verdict {
  const same = byId.get(claim.eventId) ?? claim
  const original = same.offset === claim.offset ? (winners.get(nameOf(claim)) ?? claim) : same
  return original.offset === claim.offset ? FIRST : duplicateOf(original, claim)
}

/** The verdicts of a step whose keys and ids nobody has claimed before: only within it are there duplicates. */
export function verdictsIfNew(request: StepRequest): ReadonlyMap<bigint, Verdict> {
  const step = stepClaims(request)
  return new Map(request.claims.map((claim) => [claim.offset, verdictWithin(step, claim)]))
}

/** All that such a step puts into first_seen. */
export function claimsIfNew(request: StepRequest): readonly DedupClaim[] {
  return [...claimsInOrder(request), ...idClaims(request, verdictsIfNew(request))].sort(byKey)
}

/** What goes into first_seen, one for each key, sorted: locks are taken one row after the other. */
export function claimsInOrder(request: StepRequest): readonly DedupClaim[] {
  return [...stepClaims(request).winners.values()].sort(byKey)
}

/** Rows for duplicates that have an id of their own, sorted as well. */
export function idClaims(
  { claims }: StepRequest,
  verdicts: ReadonlyMap<bigint, Verdict>,
): readonly DedupClaim[] {
  const isCopy = ({ offset, eventId }: DedupClaim): boolean => {
    const verdict = verdicts.get(offset)
    return verdict?.kind === 'duplicate' && verdict.originalEventId !== eventId
  }
  return claims
    .filter(isCopy)
    .map((claim) => ({ ...claim, source: IDS_SOURCE, key: claim.eventId }))
    .sort(byKey)
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

export function duplicateOf(original: { eventId: string; bodyDigest: Buffer }, claim: DedupClaim): Verdict {
  return {
    kind: 'duplicate',
    originalEventId: original.eventId,
    conflict: !original.bodyDigest.equals(claim.bodyDigest),
  }
}

/** As the table knows it: sources hold no line breaks, so that the pair is unambiguous. */
export function nameOf({ source, key }: { source: string; key: string }): string {
  return `${source}\n${storedKey(key)}`
}

function lowestBy(
  claims: readonly DedupClaim[],
  nameIn: (claim: DedupClaim) => string,
): ReadonlyMap<string, DedupClaim> {
  const lowest = new Map<string, DedupClaim>()
  for (const claim of claims) {
    const name = nameIn(claim)
    const earlier = lowest.get(name)
    if (earlier === undefined || claim.offset < earlier.offset) lowest.set(name, claim)
  }
  return lowest
}

/** Any total order does, as long as every planner has the same. */
function byKey(a: DedupClaim, b: DedupClaim): number {
  if (a.source !== b.source) return a.source < b.source ? -1 : 1
  return a.key < b.key ? -1 : 1
}
