/** When a breaker opens, how it closes, what counts for it, and what an endpoint that asks for time gets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextStep, PAUSE_MS_MAX, PAUSE_MS_MIN, pauseMs } from '../../core/delivery/breaker-ramp.ts'
import { BreakerWindow, REQUESTS_MIN, SILENT_MS, WINDOW_MS } from '../../core/delivery/breaker-window.ts'
import { effectOf } from '../../core/delivery/send-effect.ts'
import { HOLD_MS_MAX, SendRate } from '../../core/delivery/send-rate.ts'
import type { TransportErrorClass } from '../../core/delivery/sender.ts'

const SENT = {
  timings: { totalMs: 1, dnsMs: null, connectMs: null, tlsMs: null, firstByteMs: null },
  remoteAddress: null,
}

function effectOfStatus(statusCode: number, retryAfter: string | null = null): string {
  return effectOf({ kind: 'response', statusCode, retryAfter, body: null, ...SENT }, 0).kind
}

test('transport errors, timeouts, 408 and 5xx count, and nothing else', () => {
  const classes: readonly TransportErrorClass[] = ['timeout', 'connect', 'dns', 'tls', 'network']
  for (const errorClass of classes)
    assert.equal(effectOf({ kind: 'failed', errorClass, detail: '', ...SENT }, 0).kind, 'failed')
  assert.equal(effectOf({ kind: 'failed', errorClass: 'blocked', detail: '', ...SENT }, 0).kind, 'none')
  for (const status of [408, 500, 502, 503, 504, 599]) assert.equal(effectOfStatus(status), 'failed')
  for (const status of [200, 204, 302, 400, 401, 404, 410, 422, 425, 429])
    assert.equal(effectOfStatus(status), 'answered')
  for (const status of [429, 503]) assert.equal(effectOfStatus(status, '7'), 'slow-down')
  assert.equal(effectOfStatus(500, '7'), 'failed')
})

/** Which of these failures, all at one time, was the first to open. */
function firstOpening(window: BreakerWindow, failures: number, now: number): number | null {
  for (let n = 1; n <= failures; n++) if (window.failed(now) !== null) return n
  return null
}

test('half of at least twenty failures open it, once no answer came for five seconds', () => {
  const never = new BreakerWindow()
  assert.equal(firstOpening(never, 30, 1_000), REQUESTS_MIN)
  const recent = new BreakerWindow()
  recent.answered(0)
  assert.equal(firstOpening(recent, 30, SILENT_MS - 1), null)
  assert.equal(firstOpening(recent, 1, SILENT_MS), 1)
})

test('fewer failures than answers of the last ten seconds open nothing', () => {
  const window = new BreakerWindow()
  for (let n = 0; n < 30; n++) window.answered(0)
  assert.equal(firstOpening(window, 29, 6_000), null)
  assert.deepEqual(window.failed(6_000), { answered: 30, failed: 30 })
})

test('ten seconds of nothing but failures open it however few they are, and one answer begins anew', () => {
  const window = new BreakerWindow()
  assert.equal(window.failed(0), null)
  window.answered(9_000)
  assert.equal(window.failed(9_500), null)
  assert.equal(window.failed(9_500 + WINDOW_MS - 1), null)
  assert.notEqual(window.failed(9_500 + WINDOW_MS), null)
})

test('what lies before the window is forgotten, and a window that was reset has an answer just now', () => {
  const window = new BreakerWindow()
  window.answered(0)
  assert.equal(firstOpening(window, 19, 4_000), null)
  assert.equal(firstOpening(window, 19, 13_999), 1, 'ten seconds of nothing but failures')
  window.reset(14_000)
  assert.equal(firstOpening(window, 50, 14_000 + SILENT_MS - 1), null)
})

test('rounds double until one would be as wide as the concurrency', () => {
  const widths: number[] = []
  for (let probes = 1; ;) {
    widths.push(probes)
    const next = nextStep({ probes, failures: 0 }, { passed: probes, failed: 0 }, 20)
    if (next.kind !== 'widen') break
    probes = next.probes
  }
  assert.deepEqual(widths, [1, 2, 4, 8, 16])
  assert.equal(nextStep({ probes: 1, failures: 3 }, { passed: 1, failed: 0 }, 1).kind, 'close')
})

test('a round of which half failed opens it again for longer, and one without a probe says nothing', () => {
  assert.equal(nextStep({ probes: 8, failures: 0 }, { passed: 5, failed: 3 }, 20).kind, 'widen')
  assert.deepEqual(nextStep({ probes: 8, failures: 1 }, { passed: 4, failed: 4 }, 20), {
    kind: 'reopen',
    pauseMs: 4 * PAUSE_MS_MIN,
    failures: 2,
  })
  assert.deepEqual(nextStep({ probes: 2, failures: 1 }, { passed: 0, failed: 0 }, 20), {
    kind: 'reopen',
    pauseMs: PAUSE_MS_MIN,
    failures: 1,
  })
  assert.equal(pauseMs(1_000), PAUSE_MS_MAX)
})

/** Requests that begin when one may as soon as it may, from `from` to `to`. */
function sentBetween(rate: SendRate, from: number, to: number): number {
  let sent = 0
  for (let now = from; now < to; now++) {
    const free = Math.min(rate.free(now), 1_000)
    rate.took(free, now)
    sent += free
  }
  return sent
}

test('a rate is kept in every second, and what was not used is not saved up', () => {
  const rate = new SendRate(50)
  assert.ok(sentBetween(rate, 0, 1_000) <= 51)
  assert.ok(sentBetween(rate, 60_000, 61_000) <= 55)
  const slow = new SendRate(1 / 60)
  assert.deepEqual([sentBetween(slow, 0, 59_000), sentBetween(slow, 59_000, 179_000)], [1, 2])
  assert.equal(slow.waitMs(179_000) > 0, true)
})

test('an endpoint that asks for time is left alone for it, a minute at most, then sent to at half the rate', () => {
  const rate = new SendRate(100)
  sentBetween(rate, 0, 30_000)
  for (let n = 0; n < 20; n++) rate.slowDown(7_000, 30_000)
  assert.equal(rate.free(36_999), 0)
  assert.equal(rate.waitMs(30_000), 7_000)
  assert.ok(Math.abs(rate.perSecond - 50) < 1, 'halved once for all that was under way')
  rate.slowDown(86_400_000, 40_000)
  assert.equal(rate.waitMs(40_000), HOLD_MS_MAX)
})

test('a rate that was lowered is raised while the endpoint answers, up to what is configured', () => {
  const limited = new SendRate(100)
  sentBetween(limited, 0, 30_000)
  limited.slowDown(0, 30_000)
  for (let now = 31_000; now < 40_000; now += 1_000) limited.answered(now)
  assert.equal(limited.perSecond, 100)
  const free = new SendRate(null)
  assert.equal(free.perSecond, Infinity)
  free.took(500, 0)
  free.slowDown(0, 0)
  assert.equal(free.perSecond, 50)
  for (let now = 1_000; now < 15_000; now += 1_000) free.answered(now)
  assert.equal(free.perSecond, Infinity)
})
