/** An event id is planned once, whoever wrote the records that carry it, and under whatever keys. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DedupClaim, INDEX_HANDLER, type Verdict } from '../../core/ports/plan-store.ts'
import { claim, createJobStage, plan, verdictsOf, type JobStage } from '../support/job-stage.ts'

const OTHER_BODY = Buffer.alloc(32, 9)
const FIRST: Verdict = { kind: 'first' }

function repeats(eventId: string, conflict = false): Verdict {
  return { kind: 'duplicate', originalEventId: eventId, conflict }
}

/** Steps of up to 16 records are one statement, larger ones a transaction: `rest` fills one up. */
const SIZES = [
  { size: 'small', rest: 0 },
  { size: 'large', rest: 20 },
]

function filled(claims: readonly DedupClaim[], rest: number): readonly DedupClaim[] {
  return [
    ...claims,
    ...Array.from({ length: rest }, (_, n) =>
      claim(claims.length + n, { eventId: `rest-${n}`, key: `rest-${n}` }),
    ),
  ]
}

async function verdictsAt(
  stage: JobStage,
  claims: readonly DedupClaim[],
  rest: number,
): Promise<readonly Verdict[]> {
  const verdicts = await verdictsOf(stage.store, { claims: filled(claims, rest), partition: 1 })
  return verdicts.slice(0, claims.length)
}

for (const { size, rest } of SIZES) {
  test(`a record with a known id and another key is a duplicate of that id (${size} step)`, async () => {
    await using stage = await createJobStage()
    await plan(stage.store, { claims: [claim(0)] })
    const copies = [
      claim(0, { eventId: 'evt-000000', key: 'evt-000000' }),
      claim(1, { eventId: 'evt-000000', key: 'other', bodyDigest: OTHER_BODY }),
    ]
    assert.deepEqual(await verdictsAt(stage, copies, rest), [
      repeats('evt-000000'),
      repeats('evt-000000', true),
    ])
    const { items } = await stage.store.listJobs({ limit: 100 })
    assert.equal(items.filter(({ eventId }) => eventId === 'evt-000000').length, 1)
  })

  test(`two records of one step with the same id and different keys are one event (${size} step)`, async () => {
    await using stage = await createJobStage()
    const claims = [claim(0, { eventId: 'same' }), claim(1, { eventId: 'same' })]
    assert.deepEqual(await verdictsAt(stage, claims, rest), [FIRST, repeats('same')])
  })

  test(`the id of an event that was a duplicate itself is known as well (${size} step)`, async () => {
    await using stage = await createJobStage()
    const duplicate = claim(1, { key: 'key-0', bodyDigest: OTHER_BODY })
    await plan(stage.store, { claims: filled([claim(0), duplicate], rest) })
    const copies = [claim(0, { eventId: duplicate.eventId, key: 'other', bodyDigest: OTHER_BODY })]
    assert.deepEqual(await verdictsAt(stage, copies, rest), [repeats(duplicate.eventId)])
  })

  test(`a record with a known id keeps its key from nobody behind it (${size} step)`, async () => {
    await using stage = await createJobStage()
    await plan(stage.store, { claims: [claim(0)] })
    const claims = [
      claim(0, { eventId: 'evt-000000', key: 'wanted' }),
      claim(1, { eventId: 'honest', key: 'wanted' }),
      claim(2, { eventId: 'second', key: 'wanted' }),
    ]
    assert.deepEqual(await verdictsAt(stage, claims, rest), [repeats('evt-000000'), FIRST, repeats('honest')])
    const later = claim(rest + 3, { eventId: 'third', key: 'wanted' })
    assert.deepEqual(await verdictsOf(stage.store, { claims: [later], partition: 1 }), [repeats('honest')])
  })
}

const WINDOW_MS = BigInt(claim(0).windowMs)
const at = (windows: number, plusMs = 0): bigint =>
  1_000_000n + BigInt(windows) * (WINDOW_MS + 1n) + BigInt(plusMs)

for (const { size, rest } of SIZES) {
  test(`a key that comes back past its window within one step is an event again, and each id stays known (${size} step)`, async () => {
    await using stage = await createJobStage()
    const again = [
      claim(0, { key: 'back', eventId: 'one', timestampMs: at(0) }),
      claim(1, { key: 'back', eventId: 'one-copy', timestampMs: at(0, 5) }),
      claim(2, { key: 'back', eventId: 'two', timestampMs: at(1) }),
      claim(3, { key: 'back', eventId: 'two-copy', timestampMs: at(1, 5) }),
      claim(4, { key: 'back', eventId: 'three', timestampMs: at(2) }),
    ]
    const expected = [FIRST, repeats('one'), FIRST, repeats('two'), FIRST]
    assert.deepEqual(await verdictsAt(stage, again, rest), expected)
    const first = again.length + rest
    const later = claim(first, { key: 'back', eventId: 'four', timestampMs: at(2, 5) })
    assert.deepEqual(await verdictsOf(stage.store, { claims: [later], partition: 1 }), [repeats('three')])
    const foreign = again.map(({ eventId }, n) => claim(first + 1 + n, { eventId, key: `new-${n}` }))
    assert.deepEqual(
      await verdictsOf(stage.store, { claims: foreign, partition: 1 }),
      foreign.map(({ eventId }) => repeats(eventId)),
    )
  })

  test(`a key that another step holds comes back past its window in the middle of a step (${size} step)`, async () => {
    await using stage = await createJobStage()
    await plan(stage.store, { claims: [claim(0, { key: 'back', eventId: 'held' })] })
    const claims = [
      claim(0, { key: 'back', eventId: 'copy', timestampMs: at(0, 5) }),
      claim(1, { key: 'back', eventId: 'one', timestampMs: at(1) }),
      claim(2, { key: 'back', eventId: 'one-copy', timestampMs: at(1, 5) }),
      claim(3, { key: 'back', eventId: 'two', timestampMs: at(2) }),
    ]
    const expected = [repeats('held'), FIRST, repeats('one'), FIRST]
    assert.deepEqual(await verdictsAt(stage, claims, rest), expected)
    const foreign = ['held', 'copy', 'one', 'one-copy', 'two'].map((eventId, n) =>
      claim(claims.length + rest + n, { eventId, key: `new-${n}`, timestampMs: at(2) }),
    )
    assert.deepEqual(
      await verdictsOf(stage.store, { claims: foreign, partition: 1 }),
      foreign.map(({ eventId }) => repeats(eventId)),
    )
  })
}

test('a handler that is behind gets the verdicts of the index, whoever has taken the keys since', async () => {
  await using stage = await createJobStage()
  const steps = [
    claim(0, { key: 'back', eventId: 'one', timestampMs: at(0) }),
    claim(1, { key: 'back', eventId: 'one-copy', timestampMs: at(1, -2), bodyDigest: OTHER_BODY }),
    claim(2, { key: 'back', eventId: 'two', timestampMs: at(1) }),
    claim(3, { key: 'back', eventId: 'three', timestampMs: at(2) }),
  ]
  const expected = [FIRST, repeats('one', true), FIRST, FIRST]
  const indexed: Verdict[] = []
  for (const each of steps)
    indexed.push(...(await verdictsOf(stage.store, { claims: [each], handlers: [INDEX_HANDLER] })))
  assert.deepEqual(indexed, expected)
  assert.deepEqual(await verdictsOf(stage.store, { claims: steps, handlers: ['billing'] }), expected)
})

test('a known id is a duplicate past the window of its key, too', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: [claim(0)] })
  const late = claim(0, { timestampMs: 9_000_000n })
  assert.deepEqual(await verdictsAt(stage, [late], 0), [repeats('evt-000000')])
})

test('a handler behind the index gets the verdicts that the index got', async () => {
  await using stage = await createJobStage()
  await plan(stage.store, { claims: [claim(0)] })
  const claims = [
    claim(0, { eventId: 'evt-000000', key: 'other' }),
    claim(1, { eventId: 'honest', key: 'other' }),
    claim(2, { eventId: 'honest', key: 'another' }),
    claim(3, { eventId: 'copy', key: 'other' }),
  ]
  const expected = [repeats('evt-000000'), FIRST, repeats('honest'), repeats('honest')]
  for (const handlers of [[INDEX_HANDLER], ['billing']]) {
    const verdicts = await verdictsOf(stage.store, { claims, partition: 1, handlers })
    assert.deepEqual(verdicts, expected, handlers.join())
  }
})

test('two partitions that plan the same ids under other keys at once make each id an event once', async () => {
  await using stage = await createJobStage()
  const ids = Array.from({ length: 100 }, (_, n) => `evt-${n}`)
  const steps = [ids, ids.toReversed()].map((order, partition) =>
    verdictsOf(stage.store, {
      partition,
      claims: order.map((eventId, n) => claim(n, { eventId, key: `${partition}-${n}` })),
    }),
  )
  const verdicts = (await Promise.all(steps)).flat()
  assert.equal(verdicts.filter(({ kind }) => kind === 'first').length, 100)
  assert.equal((await stage.store.openJobs())[0]?.available, 100)
})

test('an event whose key came back past the window is first for a handler that is behind, too', async () => {
  await using stage = await createJobStage()
  const before = claim(0, { key: 'again' })
  const past = claim(1, { key: 'again', timestampMs: before.timestampMs + BigInt(before.windowMs) + 1n })
  for (const each of [before, past])
    assert.deepEqual(await verdictsOf(stage.store, { claims: [each], handlers: [INDEX_HANDLER] }), [FIRST])
  const behind = { claims: [before, past], handlers: ['billing'] }
  assert.deepEqual(await verdictsOf(stage.store, behind), [FIRST, FIRST])
})

test('a handler starts as a new one on another source, and where the index does on later partitions of its own', async () => {
  await using stage = await createJobStage()
  const start = (source: string, topicId: string, next: bigint) =>
    stage.store.registerHandler({
      ...{ handler: 'billing', source },
      positions: [{ topicId, partition: 0, next, first: 7n }],
    })
  const [other, later] = ['cd'.repeat(16), 'ef'.repeat(16)]
  assert.deepEqual(await start('other', other, 1_000n), { created: false })
  assert.deepEqual(await start('other', later, 1_000n), { created: false })
  const nextOf = async (topicId: string): Promise<bigint | undefined> =>
    (await stage.store.positions(topicId, 0)).find(({ handler }) => handler === 'billing')?.next
  assert.deepEqual([await nextOf(other), await nextOf(later)], [1_000n, 7n])
})
