/** How long loops wait for more: never where little comes, as long as it takes in between, never behind a full piece. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pace } from '../../core/pace.ts'

/** The pause behind the last of two seconds of pieces. */
function pauseAt({ itemsPerPiece, everyMs }: { itemsPerPiece: number; everyMs: number }): number {
  const pace = new Pace({ quietPerSecond: 400, enough: 8, pauseMsMax: 4 })
  let pause = 0
  for (let now = 0; now <= 2_000; now += everyMs) pause = pace.next(itemsPerPiece, now)
  return pause
}

test('at a low rate nothing waits', () => {
  assert.equal(pauseAt({ itemsPerPiece: 1, everyMs: 5 }), 0)
})

test('in between the pause is as long as enough items take to come, and bounded', () => {
  assert.ok(Math.abs(pauseAt({ itemsPerPiece: 4, everyMs: 1 }) - 2) < 0.1)
  assert.equal(pauseAt({ itemsPerPiece: 1, everyMs: 1 }), 4)
})

test('a full piece is followed at once', () => {
  assert.equal(pauseAt({ itemsPerPiece: 16, everyMs: 4 }), 0)
})

test('after a lull the first piece goes at once again', () => {
  const pace = new Pace({ quietPerSecond: 400, enough: 8, pauseMsMax: 4 })
  for (let now = 0; now <= 2_000; now++) pace.next(2, now)
  assert.equal(pace.next(1, 7_000), 0)
})
