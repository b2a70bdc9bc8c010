/** Planning is pure and accounts for every offset once per handler (I3), whatever filters, duplicates and gaps do. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planBatch, type BatchInput } from '../../core/plan/plan-batch.ts'
import { compileFilter, type Filter } from '../../core/match/filter.ts'
import type { PlanHandler } from '../../core/plan/plan-handler.ts'
import type { LogRecord } from '../../core/ports/event-log.ts'
import {
  INDEX_HANDLER,
  type LockedStep,
  type StepDecision,
  type Verdict,
} from '../../core/ports/plan-store.ts'

const at = { topic: 'hooktrail.events.shop', topicId: 'ab'.repeat(16), partition: 0 }
const NOW = Date.UTC(2026, 0, 1)

function record(offset: bigint, options: { type?: string; body?: string; timeMs?: number } = {}): LogRecord {
  const header = (name: string, value: string): { name: string; value: Buffer } => ({
    name,
    value: Buffer.from(value),
  })
  const id = `01J${String(offset).padStart(23, '0')}`
  return {
    offset,
    timestampMs: BigInt(NOW),
    timestampType: 1,
    key: null,
    value: Buffer.from(options.body ?? '{}'),
    headers: [
      header('ce_id', id),
      header('ce_source', '/hooktrail/shop'),
      header('ce_type', options.type ?? 'a'),
      header('ce_time', new Date(options.timeMs ?? NOW).toISOString()),
    ],
  }
}

function handler(overrides: Partial<PlanHandler> = {}): PlanHandler {
  return { name: 'billing', attemptsMax: 9, events: [], filter: null, ...overrides }
}

function input(records: readonly LogRecord[], overrides: Partial<BatchInput> = {}): BatchInput {
  return {
    at,
    first: records[0]?.offset ?? 0n,
    next: (records.at(-1)?.offset ?? -1n) + 1n,
    records,
    gaps: [],
    handlers: [handler()],
    dedup: { windowMs: 1_000, onConflict: 'deliver', onResend: 'revive' },
    eventTtlMs: null,
    nowMs: NOW,
    quarantined: false,
    bodyDigest: () => Buffer.alloc(32),
    ...overrides,
  }
}

function decideAll(
  batch: BatchInput,
  verdictAt: (offset: bigint) => Verdict = () => ({ kind: 'first' }),
): StepDecision {
  const plan = planBatch(batch)
  const locked: LockedStep = {
    handlers: new Set([INDEX_HANDLER, ...batch.handlers.map(({ name }) => name)]),
    verdicts: new Map(plan.claims.map(({ offset }) => [offset, verdictAt(offset)])),
  }
  return plan.decide(locked)
}

const none = { planned: 0, filtered: 0, duplicate: 0, expired: 0, errors: 0, skipped: 0, lost: 0 }

test('a matching event becomes a job, one that does not match is counted as filtered', () => {
  const records = [record(5n, { type: 'a' }), record(6n, { type: 'b' })]
  const decision = decideAll(input(records, { handlers: [handler({ events: ['a'] })] }))
  assert.equal(decision.events.length, 2)
  assert.deepEqual(
    decision.jobs.map(({ jobId, state, offset }) => [jobId, state, offset]),
    [[`${decision.events[0]?.eventId ?? ''}.billing`, 'available', 5n]],
  )
  const step = decision.steps.find((row) => row.handler === 'billing')
  assert.deepEqual(step?.counts, { ...none, planned: 1, filtered: 1 })
  assert.deepEqual(step.plannedOffsets, [5n])
})

test('an expression that fails makes a dead job of its class, without touching other handlers', () => {
  const failing = handler({
    name: 'strict',
    filter: compileFilter('payload.total > 5'),
  })
  const decision = decideAll(input([record(0n)], { handlers: [failing, handler()] }))
  assert.deepEqual(
    decision.jobs.map(({ handler: name, state, errorClass, errorDetail }) => [
      name,
      state,
      errorClass,
      errorDetail,
    ]),
    [
      ['strict', 'dead', 'filter_error', decision.jobs[0]?.errorDetail],
      ['billing', 'available', null, null],
    ],
  )
  assert.deepEqual(decision.steps.find((row) => row.handler === 'strict')?.counts, { ...none, errors: 1 })
})

test('the body is parsed once for all filters, and not at all without one', () => {
  const payloads: unknown[] = []
  const reading: Filter = {
    evaluate: ({ payload }) => {
      payloads.push(payload)
      return { kind: 'match' }
    },
  }
  const handlers = [
    handler({ name: 'x', filter: reading }),
    handler({ name: 'y', filter: reading }),
    handler(),
  ]
  decideAll(input([record(0n, { body: '{"a":1}' })], { handlers }))
  assert.equal(payloads.length, 2)
  assert.deepEqual(payloads[0], { a: 1 })
  assert.equal(payloads[0], payloads[1])
})

test('a duplicate is counted for every handler and gets a row only when it has an id of its own', () => {
  const batch = input([record(0n), record(1n)])
  const ownId = planBatch(batch).claims[1]?.eventId ?? ''
  for (const [originalEventId, rows] of [
    ['another', 2],
    [ownId, 1],
  ] as const) {
    const decision = decideAll(batch, (offset) =>
      offset === 0n ? { kind: 'first' } : { kind: 'duplicate', originalEventId, conflict: false },
    )
    assert.equal(decision.events.length, rows)
    assert.equal(decision.jobs.length, 1)
    for (const { counts } of decision.steps) assert.deepEqual(counts, { ...none, planned: 1, duplicate: 1 })
  }
})

test('a conflict is delivered or dropped as its source says', () => {
  const verdict: Verdict = { kind: 'duplicate', originalEventId: 'another', conflict: true }
  const deliver = decideAll(input([record(0n)]), () => verdict)
  assert.equal(deliver.jobs.length, 1)
  assert.equal(deliver.steps.find((row) => row.handler === 'billing')?.conflicts, 1)
  const drop = decideAll(
    input([record(0n)], { dedup: { windowMs: 1, onConflict: 'drop', onResend: 'revive' } }),
    () => verdict,
  )
  assert.equal(drop.jobs.length, 0)
})

test('an event older than event_ttl is expired', () => {
  const decision = decideAll(input([record(0n, { timeMs: NOW - 11 }), record(1n)], { eventTtlMs: 10 }))
  assert.deepEqual(decision.steps.at(-1)?.counts, { ...none, expired: 1, planned: 1 })
})

test('a quarantined record becomes a filter error whatever its headers say', () => {
  const decision = decideAll(input([record(0n)], { quarantined: true }))
  assert.deepEqual(
    decision.jobs.map(({ state, errorClass }) => [state, errorClass]),
    [['dead', 'filter_error']],
  )
})

test('a handler whose row was not locked is left out', () => {
  const plan = planBatch(input([record(0n)], { handlers: [handler(), handler({ name: 'late' })] }))
  const verdicts = new Map([[0n, { kind: 'first' as const }]])
  const decision = plan.decide({ handlers: new Set(['late']), verdicts })
  assert.deepEqual(decision.events, [])
  assert.deepEqual(
    decision.steps.map(({ handler: name }) => name),
    ['late'],
  )
})

test('counts cover every offset once, over any mix of records, gaps and verdicts', () => {
  const kinds = fc.constantFrom('first', 'duplicate', 'conflict', 'control', 'hole', 'other-type', 'error')
  fc.assert(
    fc.property(fc.array(kinds, { minLength: 1, maxLength: 40 }), (mix) => {
      const gapReason = (kind: string): 'control' | 'hole' => (kind === 'hole' ? 'hole' : 'control')
      const isGap = (kind: string): boolean => kind === 'control' || kind === 'hole'
      const offsets = mix.map((kind, index) => ({ kind, offset: BigInt(index) }))
      const records = offsets
        .filter(({ kind }) => !isGap(kind))
        .map(({ kind, offset }) => record(offset, { type: kind }))
      const gaps = offsets
        .filter(({ kind }) => isGap(kind))
        .map(({ kind, offset }) => ({ from: offset, to: offset, reason: gapReason(kind) }))
      const picky = handler({
        events: ['first', 'duplicate', 'conflict', 'error'],
        filter: compileFilter("event.type != 'error' || payload.missing"),
      })
      const batch = input(records, { first: 0n, next: BigInt(mix.length), gaps, handlers: [picky] })
      const decision = decideAll(batch, (offset) => {
        const kind = mix[Number(offset)]
        if (kind !== 'duplicate' && kind !== 'conflict') return { kind: 'first' }
        return { kind: 'duplicate', originalEventId: 'x', conflict: kind === 'conflict' }
      })
      for (const { counts } of decision.steps)
        assert.equal(
          Object.values<number>({ ...counts }).reduce((sum, count) => sum + count, 0),
          mix.length,
        )
    }),
  )
})
