/** Slots whose bound changes while some are used: nobody is cut off, and nothing starts beyond the new bound. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Slots } from '../../dispatcher/slots.ts'

const SIGNAL = AbortSignal.timeout(10_000)

test('with a smaller bound nothing is free until enough has ended', async () => {
  const slots = new Slots(3)
  for (let n = 0; n < 3; n++) slots.take()
  slots.resize(2)
  assert.equal(slots.free, -1)
  let isFree = false
  const waiting = slots.untilFree(SIGNAL).then(() => (isFree = true))
  slots.release()
  await Promise.resolve()
  assert.deepEqual([slots.free, isFree], [0, false])
  slots.release()
  await waiting
  assert.equal(slots.free, 1)
})

test('a larger bound ends the waiting at once', async () => {
  const slots = new Slots(1)
  slots.take()
  const waiting = slots.untilFree(SIGNAL)
  slots.resize(2)
  await waiting
  assert.equal(slots.free, 1)
})
