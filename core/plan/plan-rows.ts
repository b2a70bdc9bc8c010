/** The rows of one planning step: the index's events, and each handler's jobs, counts and planned offsets. */
import assert from 'node:assert/strict'
import {
  type EventRow,
  INDEX_HANDLER,
  type LockedStep,
  type NewJob,
  type PlanStepRow,
  type Revival,
  type Verdict,
} from '../ports/plan-store.ts'
import type { EventRecord } from '../record/event-record.ts'
import type { Match } from './match-event.ts'
import type { PlanHandler } from './plan-handler.ts'

/** An event with its place and what each handler (by its position in the batch's list) makes of it. */
export interface PlannedEvent {
  readonly event: EventRecord
  readonly offset: bigint
  readonly timestampMs: bigint
  readonly sizeBytes: number
  readonly matches: readonly Match[]
}

export interface RowsContext {
  readonly events: readonly PlannedEvent[]
  readonly gaps: { readonly skipped: number; readonly lost: number }
  readonly locked: LockedStep
  /** next − first. */
  readonly span: bigint
  readonly onConflict: 'deliver' | 'drop'
  readonly onResend: 'revive' | 'drop'
}

export function indexRows(context: RowsContext): { events: readonly EventRow[]; step: PlanStepRow } {
  const counts = { ...emptyCounts(), ...context.gaps }
  let conflicts = 0
  const events: EventRow[] = []
  for (const planned of context.events) {
    const verdict = verdictAt(planned, context.locked)
    if (verdict.kind === 'first') counts.planned++
    else {
      counts.duplicate++
      if (verdict.conflict) conflicts++
    }
    // The same event id again (a resend after a lost ack) has its row already.
    if (verdict.kind === 'first' || verdict.originalEventId !== planned.event.id)
      events.push(eventRow(planned, verdict))
  }
  assertGapless(counts, context.span)
  return { events, step: { handler: INDEX_HANDLER, counts, conflicts, plannedOffsets: [] } }
}

export interface HandlerRows {
  readonly jobs: readonly NewJob[]
  readonly step: PlanStepRow
  readonly revivals: readonly Revival[]
}

export function planHandler(handler: PlanHandler, position: number, context: RowsContext): HandlerRows {
  const counts = { ...emptyCounts(), ...context.gaps }
  let conflicts = 0
  const jobs: NewJob[] = []
  const revivals: Revival[] = []
  const plannedOffsets: bigint[] = []
  for (const planned of context.events) {
    const match = planned.matches[position]
    assert(match !== undefined, 'every handler has a match for every event')
    const verdict = verdictAt(planned, context.locked)
    const delivered = isDelivered(verdict, planned.event, context.onConflict)
    const bucket = delivered ? BUCKET[match.kind] : 'duplicate'
    counts[bucket]++
    if (bucket === 'planned') plannedOffsets.push(planned.offset)
    if (bucket === 'planned' && verdict.kind === 'duplicate') conflicts++
    if (bucket === 'planned' || bucket === 'errors') jobs.push(newJob(handler, planned, match))
    if (!delivered && match.kind === 'matched' && context.onResend === 'revive')
      revivals.push(...revivalOf(handler, planned.event, verdict))
  }
  assertGapless(counts, context.span)
  return { jobs, step: { handler: handler.name, counts, conflicts, plannedOffsets }, revivals }
}

const BUCKET = {
  matched: 'planned',
  filtered: 'filtered',
  expired: 'expired',
  filter_error: 'errors',
} as const satisfies Record<Match['kind'], string>

/** A duplicate with another body is delivered unless its source drops conflicts; the same event never twice. */
function isDelivered(verdict: Verdict, event: EventRecord, onConflict: 'deliver' | 'drop'): boolean {
  if (verdict.kind === 'first') return true
  return verdict.conflict && onConflict === 'deliver' && verdict.originalEventId !== event.id
}

/** The same event id again is the log that repeats itself, not the sender. */
function revivalOf(handler: PlanHandler, event: EventRecord, verdict: Verdict): readonly Revival[] {
  if (verdict.kind === 'first' || verdict.originalEventId === event.id) return []
  const { originalEventId } = verdict
  return [{ handler: handler.name, originalEventId, eventId: event.id, budget: handler.attemptsMax }]
}

function newJob(handler: PlanHandler, { event, offset }: PlannedEvent, match: Match): NewJob {
  const failed = match.kind === 'filter_error'
  return {
    jobId: `${event.id}.${handler.name}`,
    eventId: event.id,
    handler: handler.name,
    source: event.source,
    eventType: event.type,
    offset,
    state: failed ? 'dead' : 'available',
    errorClass: failed ? 'filter_error' : null,
    errorDetail: failed ? match.detail : null,
    maxAttempts: handler.attemptsMax,
  }
}

function eventRow({ event, offset, timestampMs, sizeBytes }: PlannedEvent, verdict: Verdict): EventRow {
  return {
    eventId: event.id,
    source: event.source,
    type: event.type,
    subject: event.subject,
    receivedAtMs: event.receivedAtMs,
    offset,
    timestampMs,
    uniqueKey: event.dedupKey,
    sizeBytes,
    verdict,
  }
}

function verdictAt({ offset }: PlannedEvent, locked: LockedStep): Verdict {
  const verdict = locked.verdicts.get(offset)
  assert(verdict !== undefined, 'the store gives a verdict for every claim')
  return verdict
}

function emptyCounts(): Record<keyof PlanStepRow['counts'], number> {
  return { planned: 0, filtered: 0, duplicate: 0, expired: 0, errors: 0, skipped: 0, lost: 0 }
}

function assertGapless(counts: PlanStepRow['counts'], span: bigint): void {
  const { planned, filtered, duplicate, expired, errors, skipped, lost } = counts
  const sum = planned + filtered + duplicate + expired + errors + skipped + lost
  assert.equal(BigInt(sum), span, 'the counts of a plan step cover its offsets')
}
