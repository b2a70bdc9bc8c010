/**
 * Planning of one batch, pure: from records of one partition to what one transaction writes (delivery §1).
 * Two halves, because verdicts on duplicates are only known inside the transaction: `claims` goes in, `decide` is
 * called with what the store locked. Counts are gapless: every offset of [first, next) is counted once per handler (I3).
 */
import { isLoss } from '../gap-reason.ts'
import type { LogRecord, OffsetGap, TopicPartition } from '../ports/event-log.ts'
import { type DedupClaim, INDEX_HANDLER, type LockedStep, type StepDecision } from '../ports/plan-store.ts'
import { decodeEvent } from '../record/decode-event.ts'
import { matchEvent } from './match-event.ts'
import type { PlanHandler } from './plan-handler.ts'
import { indexRows, planHandler, type PlannedEvent } from './plan-rows.ts'

export interface BatchInput {
  readonly at: TopicPartition
  readonly first: bigint
  readonly next: bigint
  readonly records: readonly LogRecord[]
  readonly gaps: readonly OffsetGap[]
  readonly handlers: readonly PlanHandler[]
  readonly dedup: {
    readonly windowMs: number
    readonly onConflict: 'deliver' | 'drop'
    readonly onResend: 'revive' | 'drop'
  }
  readonly eventTtlMs: number | null
  readonly nowMs: number
  readonly quarantined: boolean
  /** HMAC-SHA-256 under the digest key. */
  readonly bodyDigest: (body: Buffer) => Buffer
}

export interface BatchPlan {
  readonly events: readonly PlannedEvent[]
  readonly claims: readonly DedupClaim[]
  readonly decide: (locked: LockedStep) => StepDecision
}

export function planBatch(input: BatchInput): BatchPlan {
  const events = input.records.map((record) => plannedEvent(record, input))
  const claims = events.map(({ event, offset, timestampMs }) => ({
    source: event.source,
    // A record that breaks the step may do so by its key.
    key: input.quarantined ? event.id : (event.dedupKey ?? event.id),
    offset,
    eventId: event.id,
    timestampMs,
    bodyDigest: input.bodyDigest(event.body),
    windowMs: input.dedup.windowMs,
  }))
  return { events, claims, decide: (locked) => decide(input, events, locked) }
}

function plannedEvent(record: LogRecord, input: BatchInput): PlannedEvent {
  const event = decodeEvent(record, input.at)
  return {
    event: input.quarantined ? { ...event, type: 'quarantined', subject: null, dedupKey: null } : event,
    offset: record.offset,
    timestampMs: record.timestampMs,
    sizeBytes: event.body.length,
    matches: matchEvent(event, input.handlers, input),
  }
}

function decide(input: BatchInput, events: readonly PlannedEvent[], locked: LockedStep): StepDecision {
  const gaps = gapCounts(input.gaps)
  const { onConflict, onResend } = input.dedup
  const context = { events, gaps, locked, span: input.next - input.first, onConflict, onResend }
  const index = locked.handlers.has(INDEX_HANDLER) ? [indexRows(context)] : []
  const plans = input.handlers.flatMap((handler, position) =>
    locked.handlers.has(handler.name) ? [planHandler(handler, position, context)] : [],
  )
  return {
    events: index.flatMap((rows) => rows.events),
    jobs: plans.flatMap(({ jobs }) => jobs),
    steps: [...index, ...plans].map(({ step }) => step),
    revivals: plans.flatMap(({ revivals }) => revivals),
  }
}

function gapCounts(gaps: readonly OffsetGap[]): { skipped: number; lost: number } {
  const counts = { skipped: 0, lost: 0 }
  for (const { from, to, reason } of gaps) {
    const length = Number(to - from + 1n)
    if (isLoss(reason)) counts.lost += length
    else counts.skipped += length
  }
  return counts
}
