/** Event patterns, CEL filters, JSON paths and units: what matches, and what is an error instead of a quiet no. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isEventPattern, matchesEvent } from '../../core/match/event-pattern.ts'
import { compileFilter } from '../../core/match/filter.ts'
import { compilePath, compileSelector } from '../../core/match/selector.ts'
import { formatDuration, parseDurationMs, parsePercent, parseSizeBytes } from '../../core/units.ts'

const event = { id: '1', source: 's', type: 'invoice.paid', receivedAtMs: 1_700_000_000_000 }
const payload = { amount: 120, a: { b: null }, list: [{ k: 'x' }], s: 'aaa' }

function kindOf(source: string, body: unknown = payload): string {
  return compileFilter(source).evaluate({ payload: body, event, headers: { 'x-a': '1' } }).kind
}

test('patterns are exact, everything, or a prefix', () => {
  assert.ok(matchesEvent([], 'x') && matchesEvent(['*'], 'x') && matchesEvent(['b', 'a.*'], 'a.b.c'))
  assert.ok(!matchesEvent(['a.*'], 'a.') && !matchesEvent(['a.*'], 'a') && !matchesEvent(['a'], 'a.b'))
  assert.deepEqual(['*', 'a.*', 'a', 'a*', '*.a', '', 'a b'].map(isEventPattern), [
    true,
    true,
    true,
    false,
    false,
    false,
    false,
  ])
})

test('filters read payload, event and headers', () => {
  for (const source of [
    'payload.amount >= 100',
    'payload.a.b == null',
    'payload.list.exists(i, i.k == "x")',
    'payload.s.matches("^a+$")',
    'event.received_at > timestamp("2020-01-01T00:00:00Z")',
    'headers["x-a"] == "1" && event.type.startsWith("invoice.")',
  ])
    assert.equal(kindOf(source), 'match', source)
  assert.equal(kindOf('has(payload.absent)'), 'no-match')
  assert.equal(kindOf('has(payload.a.b)'), 'no-match', 'null counts as absent for has()')
})

test('a missing field, a result that is no boolean and a body that is no JSON are errors', () => {
  assert.equal(kindOf('payload.absent == 1'), 'error')
  assert.equal(kindOf('payload.amount'), 'error')
  assert.equal(
    compileFilter('payload.a == 1').evaluate({ payload: undefined, event, headers: {} }).kind,
    'error',
  )
  assert.equal(
    compileFilter('event.id == "1"').evaluate({ payload: undefined, event, headers: {} }).kind,
    'match',
  )
  assert.throws(() => compileFilter('payload. >'))
  assert.throws(() => compileFilter(`true ${'|| true '.repeat(1000)}`))
})

test('what no event has is refused, and what a payload may have is not', () => {
  for (const [source, reason] of [
    ['payloda.a', /^1:1: no variable payloda; did you mean payload\?$/],
    ['true &&\n  .evnt.id == "1"', /^2:\d+: no variable evnt; did you mean event\?$/],
    ['event.organisation == "x"', /event has no organisation; there are id, source, type, received_at/],
    ['payload.s.matches("a", "b")', /matches cannot be called like this/],
    ['payload.list.all(i, i.k.lower() == "x")', /no function lower/],
    ['[1].exists(event, event.any == 1) && event.any == 1', /event has no any/],
    ['headers["X-A"] == "1"', /names of headers are in lower case/],
    ['google.protobuf.Value{} == null', /no message google\.protobuf\.Value/],
    ['('.repeat(2000), /nested too deeply/],
  ] as const)
    assert.throws(() => compileFilter(source), { message: reason }, source)
  for (const source of [
    'type(payload.amount) == double || type(payload.amount) == int',
    'payload.any.thing.at["all"].x[0]',
    'payload.list.map(i, i.k).size() == 1 && {"a": payload.s}.a == "aaa"',
    '[1, 2].exists(event, event == 2) && event["id"] == "1"',
    'timestamp("2020-01-01T00:00:00Z").getFullYear() == 2020',
  ])
    compileFilter(source)
})

test('selectors read a header or the first scalar that a path finds', () => {
  assert.equal(compilePath('$.list[0].k')(payload), 'x')
  assert.equal(compilePath('$.amount')(payload), 120)
  assert.equal(compilePath('$.nothing')(payload), undefined)
  assert.deepEqual(compileSelector('header:X-Id'), { from: 'header', name: 'x-id' })
  assert.throws(() => compileSelector('header:'))
  assert.throws(() => compileSelector('$.['))
})

test('units are read as people write them', () => {
  assert.deepEqual(['5s', '100ms', '2m', '7d', '0', '1.5h', '5', 's', '5 parsecs'].map(parseDurationMs), [
    5000,
    100,
    120_000,
    604_800_000,
    0,
    5_400_000,
    null,
    null,
    null,
  ])
  assert.deepEqual(['5MiB', '64KB', '12', 'x'].map(parseSizeBytes), [5_242_880, 64_000, 12, null])
  assert.deepEqual(['70%', '101%', '0.7'].map(parsePercent), [0.7, null, null])
  assert.deepEqual([604_800_000, 90_000, 1, 0].map(formatDuration), ['7d', '90s', '1ms', '0ms'])
})
