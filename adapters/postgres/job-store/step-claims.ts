/**
 * The claims of one planning step, pure. They are walked in the order of the log: a record is a duplicate of the event
 * that holds its key, where that is within the window, else it holds the key from there on; so a key may have several
 * originals in one step. A log may also hold one event id twice: a producer resends after a lost ack, or somebody else
 * writes an id that is taken. The later record is a duplicate of its own id, whatever its key.
 */
import type { DedupClaim, StepRequest, Verdict } from '../../../core/ports/plan-store.ts'
import { byteaArray, int8Array, textArray } from '../sql.ts'
import { texts } from './columns.ts'
import { storedKey } from './stored-key.ts'

const FIRST: Verdict = { kind: 'first' }
/** Of rows that hold the id of an event whose key another event has. No source has this name. */
const IDS_SOURCE = ''

/** An event that holds a key. */
export interface Original {
  readonly eventId: string
  readonly timestampMs: bigint
  readonly bodyDigest: Buffer
}

/** What stood in first_seen before the walk; `at` is the claim of the step that it is itself, or null. */
export type Standing = Original & { readonly at: bigint | null }

export interface WalkedStep {
  /** By offset. */
  readonly verdicts: ReadonlyMap<bigint, Verdict>
  /** By name, the claim that holds the key in the end, where one of the step does. */
  readonly holders: ReadonlyMap<string, DedupClaim>
}

/** @param standing by name; nothing: nobody claimed any of the keys before */
export function walkStep(
  { claims }: Pick<StepRequest, 'claims'>,
  standing: ReadonlyMap<string, Standing> = new Map(),
): WalkedStep {
  const verdicts = new Map<bigint, Verdict>()
  const holders = new Map<string, DedupClaim>()
  const { ownIds, repeats } = splitById(claims)
  for (const [claim, same] of repeats) verdicts.set(claim.offset, duplicateOf(same, claim))
  for (const claim of ownIds) {
    const name = nameOf(claim)
    const row = standing.get(name)
    const original = row?.at === claim.offset ? null : within(claim, holders.get(name), row)
    verdicts.set(claim.offset, original === null ? FIRST : duplicateOf(original, claim))
    if (original === null) holders.set(name, claim)
  }
  return { verdicts, holders }
}

/** All that a step puts into first_seen whose keys and ids nobody has claimed before: it was walked so. */
export function claimsIfNew(request: StepRequest, walked: WalkedStep): readonly DedupClaim[] {
  return [...walked.holders.values(), ...idClaims(request, walked)].sort(byKey)
}

/** Of each key the first claim, sorted: locks are taken one row after the other. */
export function claimsInOrder({ claims }: StepRequest): readonly DedupClaim[] {
  const firsts = new Map<string, DedupClaim>()
  for (const claim of splitById(claims).ownIds)
    if (!firsts.has(nameOf(claim))) firsts.set(nameOf(claim), claim)
  return [...firsts.values()].sort(byKey)
}

/** Rows for the ids of events that hold no key: duplicates, and originals whose key went on. Sorted as well. */
export function idClaims(
  { claims }: Pick<StepRequest, 'claims'>,
  { verdicts, holders }: WalkedStep,
): readonly DedupClaim[] {
  const needsRow = (claim: DedupClaim): boolean => {
    const verdict = verdicts.get(claim.offset)
    return verdict?.kind === 'duplicate'
      ? verdict.originalEventId !== claim.eventId
      : holders.get(nameOf(claim)) !== claim
  }
  return claims
    .filter(needsRow)
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

export function duplicateOf(original: Pick<Original, 'eventId' | 'bodyDigest'>, claim: DedupClaim): Verdict {
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

interface ClaimsById {
  /** In the order of the log. */
  readonly ownIds: readonly DedupClaim[]
  /** Each with the claim that had its id before. */
  readonly repeats: readonly (readonly [claim: DedupClaim, same: DedupClaim])[]
}

function splitById(claims: readonly DedupClaim[]): ClaimsById {
  const byId = new Map<string, DedupClaim>()
  const repeats: [DedupClaim, DedupClaim][] = []
  for (const claim of claims.toSorted(byOffset)) {
    const same = byId.get(claim.eventId)
    if (same === undefined) byId.set(claim.eventId, claim)
    else repeats.push([claim, same])
  }
  return { ownIds: [...byId.values()], repeats }
}

/** The first of these that the claim is a repetition of. */
export function within(claim: DedupClaim, ...originals: readonly (Original | undefined)[]): Original | null {
  const isWithin = ({ timestampMs }: Original): boolean => {
    const apartMs = timestampMs - claim.timestampMs
    return (apartMs < 0n ? -apartMs : apartMs) <= BigInt(claim.windowMs)
  }
  return originals.find((original) => original !== undefined && isWithin(original)) ?? null
}

function byOffset(a: DedupClaim, b: DedupClaim): number {
  return a.offset < b.offset ? -1 : Number(a.offset > b.offset)
}

/** Any total order does, as long as every planner has the same. */
function byKey(a: DedupClaim, b: DedupClaim): number {
  if (a.source !== b.source) return a.source < b.source ? -1 : 1
  return a.key < b.key ? -1 : 1
}
