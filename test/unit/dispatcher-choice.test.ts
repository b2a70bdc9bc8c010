/** Who is planned next and how far: together where they stand together, and nobody past the index. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { INDEX_HANDLER } from '../../core/ports/plan-store.ts'
import { chooseSteps } from '../../dispatcher/choose-step.ts'
import { PlanQuarantine } from '../../dispatcher/plan-quarantine.ts'
import { shareConcurrency } from '../../dispatcher/share-concurrency.ts'

function choose(
  index: bigint,
  handlers: Record<string, bigint>,
  held: readonly string[] = [],
): ReturnType<typeof chooseSteps> {
  return chooseSteps({
    index,
    handlers: new Map(Object.entries(handlers)),
    admits: (name) => !held.includes(name),
  })
}

test('all who stand with the index are planned in its step', () => {
  const { index, catchUp } = choose(10n, { a: 10n, b: 10n })
  assert.deepEqual(index.handlers, [INDEX_HANDLER, 'a', 'b'])
  assert.equal(index.until, null)
  assert.equal(catchUp, null)
})

test('the hindmost is caught up first, up to where the next one stands', () => {
  const { catchUp } = choose(10n, { a: 2n, b: 5n, c: 10n })
  assert.deepEqual(catchUp, { kind: 'catch-up', first: 2n, until: 5n, handlers: ['a'] })
})

test('a handler ahead waits for the index, whose step ends there', () => {
  const { index, catchUp } = choose(0n, { late: 100n, early: 0n })
  assert.deepEqual(index, { kind: 'index', first: 0n, until: 100n, handlers: [INDEX_HANDLER, 'early'] })
  assert.equal(catchUp, null)
})

test('a held handler is left at its position', () => {
  const { index, catchUp } = choose(10n, { a: 10n, b: 3n }, ['a', 'b'])
  assert.deepEqual(index.handlers, [INDEX_HANDLER])
  assert.equal(catchUp, null)
})

test('a record is set aside only after it failed alone while the store answers', async () => {
  let up = true
  const quarantine = new PlanQuarantine({
    ping: () => (up ? Promise.resolve() : Promise.reject(new Error('down'))),
  })
  const fail = (first: bigint, next: bigint): Promise<void> =>
    quarantine.failed(new Error('bad'), first, next)
  up = false
  for (let times = 0; times < 5; times++) await assert.rejects(fail(0n, 500n))
  assert.equal(quarantine.recordsMax(0n, 500), 500)
  up = true
  await fail(0n, 500n)
  await fail(0n, 500n)
  assert.equal(quarantine.recordsMax(0n, 500), 1)
  assert.equal(quarantine.isolates(0n), false)
  await fail(0n, 1n)
  await fail(0n, 1n)
  assert.equal(quarantine.isolates(0n), true)
  quarantine.succeeded(0n)
  assert.equal(quarantine.isolates(0n), false)
  assert.equal(quarantine.recordsMax(1n, 500), 1)
  assert.equal(quarantine.recordsMax(500n, 500), 500)
})

test('handlers that want more slots than there are get fixed parts, at least one each', () => {
  const wants = [
    { name: 'a', concurrency: 90 },
    { name: 'b', concurrency: 10 },
    { name: 'c', concurrency: 1 },
  ]
  assert.deepEqual([...shareConcurrency(wants, 50).values()], [44, 4, 1])
  assert.deepEqual([...shareConcurrency(wants, 500).values()], [90, 10, 1])
})

test('live dispatchers divide what a handler may have, together never more, and each at least one', () => {
  const shares = (concurrency: number, dispatchers: number): readonly (number | undefined)[] =>
    Array.from({ length: dispatchers }, (_, before) =>
      shareConcurrency([{ name: 'a', concurrency }], 200, new Map([['a', { dispatchers, before }]])).get('a'),
    )
  assert.deepEqual(shares(20, 1), [20])
  assert.deepEqual(shares(20, 3), [7, 7, 6])
  assert.deepEqual(shares(2, 4), [1, 1, 1, 1])
  const divided = new Map([['a', { dispatchers: 2, before: 1 }]])
  const wants = [
    { name: 'a', concurrency: 90 },
    { name: 'b', concurrency: 55 },
  ]
  assert.deepEqual([...shareConcurrency(wants, 50, divided).values()], [22, 27])
})
