/** What is told once an hour is told with how many there were in between. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HourlyNotice } from '../../dispatcher/hourly-notice.ts'
import { HandClock } from '../support/hand-clock.ts'

test('the first is told at once, the next past the hour with those in between; handlers do not share it', () => {
  const clock = new HandClock()
  const notice = new HourlyNotice(clock)
  assert.equal(notice.note('billing', 3), 3)
  assert.equal(notice.note('billing', 2), null)
  assert.equal(notice.note('search'), 1)
  clock.advance(3_599_999)
  assert.equal(notice.note('billing'), null)
  clock.advance(1)
  assert.equal(notice.note('billing'), 4)
  assert.equal(notice.note('billing'), null)
})
