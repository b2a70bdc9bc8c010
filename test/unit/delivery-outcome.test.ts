/** The table of delivery §4, row by row: what the end of a request means for its job and its handler. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decideOutcome, type FinishedSend } from '../../core/delivery/decide-outcome.ts'
import { retryAfterMs, RETRY_AFTER_MS_MAX } from '../../core/delivery/retry-after.ts'
import { retryDelayMs } from '../../core/delivery/retry-delay.ts'

const NOW = Date.UTC(2026, 0, 1)
const evidence = {
  timings: { totalMs: 1, dnsMs: null, connectMs: null, tlsMs: null, firstByteMs: null },
  remoteAddress: null,
}
const retry = { attemptsMax: 3, backoff: { kind: 'fixed', intervalMs: 1_000 } } as const
const context = { attempt: 1, attemptsMax: 3, retry, nowMs: NOW, random: 0.5 }

function response(statusCode: number, retryAfter: string | null = null): FinishedSend {
  return { kind: 'response', statusCode, retryAfter, body: null, ...evidence }
}

test('any 2xx completes the job', () => {
  for (const status of [200, 201, 204, 299]) {
    const decision = decideOutcome(response(status), context)
    assert.deepEqual(decision, {
      next: { state: 'completed' },
      errorClass: null,
      errorDetail: null,
      disables: null,
    })
  }
})

test('every other status is retried with its class until the attempts are used up', () => {
  for (const [status, errorClass] of [
    [301, 'http_3xx'],
    [400, 'http_4xx'],
    [408, 'http_4xx'],
    [425, 'http_4xx'],
    [429, 'http_4xx'],
    [500, 'http_5xx'],
    [503, 'http_5xx'],
  ] as const) {
    const decision = decideOutcome(response(status), context)
    assert.deepEqual(decision.next, { state: 'retryable', delayMs: 1_000 })
    assert.equal(decision.errorClass, errorClass)
    const last = decideOutcome(response(status), { ...context, attempt: 3 })
    assert.deepEqual(last.next, { state: 'dead' })
  }
})

test('failures on the way are retried with their class, then dead', () => {
  for (const errorClass of ['timeout', 'connect', 'dns', 'tls', 'network'] as const) {
    const failed: FinishedSend = { kind: 'failed', errorClass, detail: 'x', ...evidence }
    assert.equal(decideOutcome(failed, context).next.state, 'retryable')
    assert.equal(decideOutcome(failed, context).errorClass, errorClass)
    assert.equal(decideOutcome(failed, { ...context, attempt: 3 }).next.state, 'dead')
  }
})

test('410 makes the job dead and disables the handler', () => {
  const decision = decideOutcome(response(410), context)
  assert.deepEqual(decision.next, { state: 'dead', disableHandler: true })
  assert.equal(decision.disables, 'gone')
})

test('a blocked address disables the handler and leaves the job open, even on its last attempt', () => {
  const blocked: FinishedSend = { kind: 'failed', errorClass: 'blocked', detail: 'x', ...evidence }
  const decision = decideOutcome(blocked, { ...context, attempt: 3 })
  assert.equal(decision.next.state, 'retryable')
  assert.equal('disableHandler' in decision.next && decision.next.disableHandler, true)
  assert.equal(decision.disables, 'blocked')
})

test('Retry-After raises the delay, never lowers it, and is clamped to a day', () => {
  assert.deepEqual(decideOutcome(response(503, '30'), context).next, { state: 'retryable', delayMs: 30_000 })
  assert.deepEqual(decideOutcome(response(503, '0'), context).next, { state: 'retryable', delayMs: 1_000 })
  assert.equal(retryAfterMs('9999999', NOW), RETRY_AFTER_MS_MAX)
})

test('Retry-After is read in each form of RFC 9110 and ignored when malformed', () => {
  assert.equal(retryAfterMs('Thu, 01 Jan 2026 00:01:00 GMT', NOW), 60_000)
  assert.equal(retryAfterMs('Thursday, 01-Jan-26 00:01:00 GMT', NOW), 60_000)
  assert.equal(retryAfterMs('Thu Jan  1 00:01:00 2026', NOW), 60_000)
  assert.equal(retryAfterMs('Wed, 31 Dec 2025 00:00:00 GMT', NOW), 0)
  for (const bad of ['', 'soon', '-5', '1.5', '2026-01-01', '1e9', 'Thursday']) {
    assert.equal(retryAfterMs(bad, NOW), null, bad)
  }
})

test('a list of delays is followed in order and its last one repeats', () => {
  const list = { attemptsMax: 9, backoff: { kind: 'list', delaysMs: [5, 30, 120] } } as const
  assert.deepEqual(
    [1, 2, 3, 4, 9].map((attempt) => retryDelayMs(list, attempt, 0.5)),
    [5, 30, 120, 120, 120],
  )
})

test('exponential delays double and stop at their maximum', () => {
  const backoff = { kind: 'exponential', intervalMs: 100, intervalMsMax: 1_000 } as const
  assert.deepEqual(
    [1, 2, 3, 4, 5, 2_000].map((attempt) => retryDelayMs({ attemptsMax: 9, backoff }, attempt, 0.5)),
    [100, 200, 400, 800, 1_000, 1_000],
  )
})

test('jitter stays within 20 % for every attempt and every random number', () => {
  const backoff = { kind: 'fixed', intervalMs: 10_000 } as const
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (n, r) => {
        const delay = retryDelayMs({ attemptsMax: 9, backoff }, n, r)
        return delay >= 8_000 && delay <= 12_000
      },
    ),
  )
})
