/** What a transform makes of an event, and what it says where it can make nothing. Time and memory: dispatcher-transforms. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileTransform, TRANSFORM_BYTES_MAX, type Transformed } from '../../core/match/transform.ts'

const event = {
  id: '01JZZZZZZZZZZZZZZZZZZZZZZZ',
  source: 'shop',
  type: 'order.paid',
  subject: null,
  received_at: '2026-01-01T00:00:00.000Z',
}

function apply(source: string, payload: unknown): Promise<Transformed> {
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
  return compileTransform(source)({ payload: text, event, headers: { 'x-shop': 'berlin' } })
}

test('an object is sent as JSON, a text as it is', async () => {
  assert.deepEqual(await apply('{"id": order.id, "sum": $sum(order.lines.price)}', ORDER), {
    kind: 'body',
    body: '{"id":7,"sum":42.5}',
    contentType: 'application/json',
  })
  assert.deepEqual(await apply('"order " & order.id', ORDER), {
    kind: 'body',
    body: 'order 7',
    contentType: 'text/plain; charset=utf-8',
  })
})

test('the event and the headers of its request are variables', async () => {
  const made = await apply('[$event.id, $event.type, $headers."x-shop", $event.received_at]', ORDER)
  assert.ok(made.kind === 'body')
  assert.deepEqual(JSON.parse(made.body), [event.id, 'order.paid', 'berlin', '2026-01-01T00:00:00.000Z'])
})

test('what cannot be made is an error with its reason', async () => {
  const cases: readonly (readonly [source: string, payload: unknown, reason: RegExp])[] = [
    ['{"id": id}', '<xml/>', /not JSON/],
    ['missing.field', ORDER, /no result/],
    ['order.id + "x"', ORDER, /right side of the "\+" operator/],
    ['$missing(1)', ORDER, /non-function/],
    ['$error("wrong order")', ORDER, /wrong order/],
    ['function($x) { $x }', ORDER, /not JSON/],
    ['[1..10000000]', ORDER, /sequence length/],
    ['($f := function($n) { 1 + $f($n + 1) }; $f(0))', ORDER, /Stack overflow/],
    ['$pad("x", 600000000)', ORDER, /Invalid string length/],
    [`$pad("x", ${TRANSFORM_BYTES_MAX + 1})`, ORDER, /more than 8388608 bytes/],
  ]
  for (const [source, payload, reason] of cases) {
    const made = await apply(source, payload)
    assert.ok(made.kind === 'error', source)
    assert.match(made.detail, reason, source)
  }
})

test('prototypes can neither be read nor changed', async () => {
  for (const source of [
    '{"a": $.constructor, "b": $$.__proto__, "c": $string.constructor, "d": order.toString}',
    '{"a": $lookup($, "constructor"), "b": $lookup($, "__proto__")}',
  ])
    assert.deepEqual(await apply(source, ORDER), {
      kind: 'body',
      body: '{}',
      contentType: 'application/json',
    })
  await apply('$ ~> |$|{"__proto__": {"polluted": 1}}|', ORDER)
  await apply('$merge([$, {"__proto__": {"polluted": 1}}])', '{"__proto__": {"polluted": 1}}')
  assert.equal('polluted' in {}, false)
  const called = await apply('($.constructor.constructor)("return process")()', ORDER)
  assert.equal(called.kind, 'error')
})

test('an expression that is none is refused with its place', () => {
  assert.throws(() => compileTransform('{"id": '), /at character 7/)
  assert.throws(() => compileTransform('('.repeat(10_000)), /nested too deeply|at character/)
  assert.throws(() => compileTransform(`"${'x'.repeat(20_000)}"`), /at most 16384 characters/)
})

const ORDER = { order: { id: 7, lines: [{ price: 40 }, { price: 2.5 }] } }
