/** Self-clocking batches: what shares a batch, what waits, and what a failed batch does to its items. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Batcher, BatcherFullError } from '../../core/batcher.ts'

interface Gate {
  readonly items: readonly number[]
  readonly release: () => void
  readonly fail: (error: Error) => void
}

/** A batcher whose batches wait until the test lets them go. */
function gatedBatcher(options: {
  itemsMax: number
  inFlightMax: number
  pendingMax: number
  weightMax?: number
  pause?: (items: number) => Promise<void> | null
}) {
  const gates: Gate[] = []
  const arrivals: PromiseWithResolvers<void>[] = []
  const batcher = new Batcher<number, number>({
    ...options,
    weight: (item) => item,
    run: async (items) => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly number[]>()
      gates.push({
        items,
        release: () => {
          resolve(items.map((item) => item * 10))
        },
        fail: reject,
      })
      arrivals.shift()?.resolve()
      return promise
    },
  })
  const batch = async (index: number): Promise<Gate> => {
    while (gates.length <= index) {
      const arrival = Promise.withResolvers<void>()
      arrivals.push(arrival)
      await arrival.promise
    }
    const gate = gates[index]
    assert.ok(gate)
    return gate
  }
  return { batcher, batch }
}

test('items pushed in one turn share a batch and get their own results', async () => {
  const { batcher, batch } = gatedBatcher({ itemsMax: 10, inFlightMax: 1, pendingMax: 100 })
  const results = Promise.all([batcher.push(1), batcher.push(2)])
  const first = await batch(0)
  assert.deepEqual(first.items, [1, 2])
  first.release()
  assert.deepEqual(await results, [10, 20])
})

test('while the in-flight limit is reached items wait and leave as one batch', async () => {
  const { batcher, batch } = gatedBatcher({ itemsMax: 10, inFlightMax: 1, pendingMax: 100 })
  const one = batcher.push(1)
  const first = await batch(0)
  const rest = Promise.all([batcher.push(2), batcher.push(3), batcher.push(4)])
  first.release()
  await one
  const second = await batch(1)
  assert.deepEqual(second.items, [2, 3, 4])
  second.release()
  await rest
})

test('a batch closes before it exceeds its weight, but one item always fits', async () => {
  const { batcher, batch } = gatedBatcher({ itemsMax: 10, inFlightMax: 3, pendingMax: 100, weightMax: 5 })
  const all = Promise.all([batcher.push(9), batcher.push(2), batcher.push(3), batcher.push(1)])
  assert.deepEqual((await batch(0)).items, [9])
  assert.deepEqual((await batch(1)).items, [2, 3])
  assert.deepEqual((await batch(2)).items, [1])
  for (const index of [0, 1, 2]) (await batch(index)).release()
  await all
})

test('a failed batch rejects exactly its own items and the next one runs', async () => {
  const { batcher, batch } = gatedBatcher({ itemsMax: 1, inFlightMax: 1, pendingMax: 100 })
  const lost = batcher.push(1)
  const kept = batcher.push(2)
  ;(await batch(0)).fail(new Error('no'))
  await assert.rejects(lost, /no/)
  ;(await batch(1)).release()
  assert.equal(await kept, 20)
  await batcher.drained()
})

test('a full batcher refuses instead of growing', async () => {
  const { batcher, batch } = gatedBatcher({ itemsMax: 1, inFlightMax: 1, pendingMax: 1 })
  const first = batcher.push(1)
  const gate = await batch(0)
  const second = batcher.push(2)
  assert.throws(() => batcher.push(3), BatcherFullError)
  gate.release()
  ;(await batch(1)).release()
  await Promise.all([first, second])
})

test('behind a batch with a pause what comes waits for its end and leaves together', async () => {
  const pauses: { items: number; end: () => void }[] = []
  const { batcher, batch } = gatedBatcher({
    ...{ itemsMax: 10, inFlightMax: 2, pendingMax: 100 },
    pause: (items) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      pauses.push({ items, end: resolve })
      return pauses.length === 1 ? promise : null
    },
  })
  const first = batcher.push(1)
  ;(await batch(0)).release()
  assert.equal(await first, 10)
  const others = Promise.all([batcher.push(2), batcher.push(3)])
  const drained = batcher.drained()
  pauses[0]?.end()
  const second = await batch(1)
  assert.deepEqual(second.items, [2, 3])
  second.release()
  assert.deepEqual(await others, [20, 30])
  await drained
  assert.deepEqual(
    pauses.map(({ items }) => items),
    [1, 2],
  )
})
