/** What the log says of handlers that fail: when it begins, once a minute, and when it is over. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FailingHandlers, SAID_AGAIN_MS } from '../../dispatcher/failing-handlers.ts'
import { recordedLogger } from '../support/recorded-logger.ts'
import { HandClock } from '../support/hand-clock.ts'

test('a handler that fails is said once, then at most once a minute with counts by class', () => {
  const clock = new HandClock()
  const { logger, lines } = recordedLogger()
  const failing = new FailingHandlers({ clock, logger })
  for (let n = 0; n < 10; n++) failing.failed('billing', 'http_5xx', { attempt: n })
  failing.failed('billing', 'timeout', {})
  failing.step()
  assert.deepEqual(lines, [
    ['warn', { handler: 'billing', error: 'http_5xx', attempt: 0 }, 'deliveries to a handler begin to fail'],
  ])
  clock.advance(SAID_AGAIN_MS)
  failing.step()
  failing.step()
  assert.deepEqual(lines.slice(1), [
    [
      'warn',
      { handler: 'billing', delivered: 0, failed: { http_5xx: 9, timeout: 1 } },
      'deliveries to a handler still fail',
    ],
  ])
})

test('a minute that ends with a delivery says so, and a quiet minute behind it that it is over', () => {
  const clock = new HandClock()
  const { logger, lines } = recordedLogger()
  const failing = new FailingHandlers({ clock, logger })
  failing.failed('billing', 'timeout', {})
  failing.failed('billing', 'timeout', {})
  failing.delivered('billing')
  clock.advance(SAID_AGAIN_MS)
  failing.step()
  assert.deepEqual(lines.at(-1), [
    'warn',
    { handler: 'billing', delivered: 1, failed: { timeout: 1 } },
    'deliveries to a handler failed; it has delivered since the last failure',
  ])
  clock.advance(SAID_AGAIN_MS)
  failing.step()
  assert.deepEqual(lines.at(-1), ['info', { handler: 'billing', delivered: 0 }, 'the handler delivers again'])
  failing.failed('billing', 'timeout', {})
  assert.equal(lines.at(-1)?.[2], 'deliveries to a handler begin to fail')
})

test('it delivers again after a minute with deliveries and without a failure, and not before', () => {
  const clock = new HandClock()
  const { logger, lines } = recordedLogger()
  const failing = new FailingHandlers({ clock, logger })
  failing.failed('billing', 'timeout', {})
  clock.advance(SAID_AGAIN_MS)
  failing.step()
  assert.equal(lines.length, 1, 'nothing was tried: nothing is known')
  failing.delivered('billing')
  failing.failed('billing', 'timeout', {})
  failing.step()
  assert.equal(lines.at(-1)?.[2], 'deliveries to a handler still fail')
  failing.delivered('billing')
  failing.step()
  assert.equal(lines.length, 2)
  clock.advance(SAID_AGAIN_MS)
  failing.step()
  assert.deepEqual(lines.at(-1), ['info', { handler: 'billing', delivered: 1 }, 'the handler delivers again'])
  failing.delivered('billing')
  failing.delivered('other')
  clock.advance(SAID_AGAIN_MS)
  failing.step()
  assert.equal(lines.length, 3)
})
