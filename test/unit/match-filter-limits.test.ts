/** Filters that are too expensive for an event end as errors, counted in steps; what filters usually do stays far below. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileFilter, type FilterResult } from '../../core/match/filter.ts'

const event = { id: '1', source: 's', type: 'order.paid', receivedAtMs: 1_700_000_000_000 }
const MANY = Array.from({ length: 10_000 }, (_, n) => ({ n, name: `item ${n}`, ok: true }))

function evaluate(source: string, payload: unknown): FilterResult {
  return compileFilter(source).evaluate({ payload, event, headers: {} })
}

test('what is quadratic, or worse, ends with its steps', () => {
  const payload = { items: MANY, text: 'a'.repeat(5_000_000), pattern: '(a{30}){30}b' }
  for (const source of [
    'payload.items.exists(x, payload.items.exists(y, x.n + y.n < 0))',
    'payload.items.exists(x, payload.items.all(y, payload.items.all(z, true)) && x.n < 0)',
    // Without a call within: the rounds are what is counted.
    'payload.items.filter(x, payload.items.filter(y, !y.ok) == []) == []',
    'payload.items.all(x, payload.items.exists(y, true))',
    'payload.items.map(x, [x, x, x]).map(x, x + x).size() == 1',
    'payload.items.all(x, payload == payload)',
    'payload.items.all(x, [payload] != [x])',
    'payload.items.all(x, x in payload.items || true)',
    'payload.items.all(x, !payload.text.contains("b"))',
    'payload.items.all(x, payload.text + string(x.n) != "b")',
    'payload.text.matches(payload.pattern)',
    'payload.text.matches("(a|aa)*b{1,900}$")',
    `["${'x'.repeat(100)}"]${'.map(x, x + x)'.repeat(100)}.exists(x, x.contains("y"))`,
    `[[1]]${'.map(x, x + x)'.repeat(100)}.exists(x, x == [])`,
  ]) {
    const result = evaluate(source, payload)
    assert.match(result.kind === 'error' ? result.detail : result.kind, /more than 500000 steps/, source)
  }
})

test('an expression that was ended leaves its steps to nobody', () => {
  const source = 'payload.items.exists(x, payload.items.exists(y, x.n + y.n < 0))'
  assert.equal(evaluate(source, { items: MANY }).kind, 'error')
  assert.equal(evaluate(source, { items: MANY.slice(0, 3) }).kind, 'no-match')
})

test('what filters do over long lists and texts stays below', () => {
  const payload = { items: MANY, text: `${'a'.repeat(200_000)}b`, id: '7b2c1f3e-0000-4000-8000-1234567890ab' }
  for (const source of [
    'payload.items.all(x, x.ok && x.name.startsWith("item "))',
    'payload.items.exists(x, x.n == 9999)',
    'payload.items.exists_one(x, x.name == "item 7")',
    'payload.text.matches("a+b$")',
    'payload.text.endsWith("b") && payload.text.contains("ab")',
    'payload.id.matches("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")',
    'payload.items.filter(x, x.n < 300).map(x, x.n).size() == 300',
    'payload.items == payload.items',
    '{"a": 1, "b": 2}.all(key, key in ["a", "b"])',
  ])
    assert.equal(evaluate(source, payload).kind, 'match', source)
})

test('a regular expression takes no longer for a text that is made to mislead it', () => {
  assert.equal(
    evaluate('payload.text.matches("^(a+)+$")', { text: `${'a'.repeat(50_000)}!` }).kind,
    'no-match',
  )
  assert.equal(evaluate('payload.text.matches("(a+)\\\\1")', { text: 'aa' }).kind, 'error')
  assert.equal(
    evaluate('payload.text.matches(payload.p)', { text: 'a', p: '((a{1000}){1000}){1000}' }).kind,
    'error',
  )
})

test('prototypes are no fields', () => {
  const read = { payload: { a: { n: 1 } }, event, headers: {} }
  for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
    assert.equal(compileFilter(`has(payload.a.${name})`).evaluate(read).kind, 'no-match', name)
    assert.equal(compileFilter(`payload.a["${name}"] == 1`).evaluate(read).kind, 'error', name)
    assert.equal(compileFilter(`"${name}" in payload.a`).evaluate(read).kind, 'no-match', name)
  }
  const own: unknown = JSON.parse('{"__proto__": {"n": 1}}')
  assert.equal(compileFilter('payload["__proto__"].n == 1').evaluate({ ...read, payload: own }).kind, 'match')
})

test('nesting that the stack cannot hold is an error of the expression or of the event', () => {
  assert.throws(() => compileFilter(`${'['.repeat(2000)}${']'.repeat(2000)} == []`), /nested too deeply/)
  const deep: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`)
  assert.equal(evaluate('payload == [1]', deep).kind, 'no-match')
  assert.notEqual(evaluate('payload == payload', deep).kind, 'no-match')
})

test('only the rounds of macros are counted: their steps cannot be written in an expression', () => {
  for (const source of ['@tick(1)', 'tick(1)', '@range([1]) == [1]'])
    assert.throws(() => compileFilter(source))
})
