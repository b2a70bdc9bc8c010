/** The archiver lets deliveries go first, but not for ever. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Deference } from '../../archiver/deference.ts'
import { Demand } from '../../core/demand.ts'

function stage(rollAgeMs: number) {
  let now = 0
  const clock = { monotonic: () => now }
  const demand = new Demand(clock)
  const deference = new Deference({ clock, demand, rollAgeMs })
  return {
    demand,
    deference,
    pass: (ms: number): void => {
      now += ms
    },
  }
}

test('the archiver defers while takes are full, and goes on when they no longer are', () => {
  const { demand, deference, pass } = stage(600_000)
  assert.equal(deference.defers, false)
  demand.note()
  assert.equal(deference.defers, true)
  pass(250)
  assert.equal(deference.defers, false)
})

test('after fifteen seconds of full takes the archiver works until it has caught up', () => {
  const { demand, deference, pass } = stage(600_000)
  for (let ms = 0; ms < 15_000; ms += 100) {
    demand.note()
    assert.equal(deference.defers, true)
    pass(100)
  }
  demand.note()
  assert.equal(deference.defers, false)
  pass(100)
  demand.note()
  assert.equal(deference.defers, false, 'not again before it has caught up')
  deference.caughtUp()
  assert.equal(deference.defers, true)
})

test('short segments are deferred for a tenth of their age', () => {
  const { demand, deference, pass } = stage(1_000)
  demand.note()
  assert.equal(deference.defers, true)
  pass(100)
  demand.note()
  assert.equal(deference.defers, false)
})

test('an archiver alone in its process never defers', () => {
  const clock = { monotonic: () => 0 }
  assert.equal(new Deference({ clock, demand: undefined, rollAgeMs: 600_000 }).defers, false)
})
