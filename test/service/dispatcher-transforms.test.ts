/** Transforms on the way to a receiver: what it gets, what becomes of events that none can be made for, and hostile ones. */
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { systemClock } from '../../adapters/system/clock.ts'
import type { Evaluated } from '../../dispatcher/transform-runner.ts'
import { composeDispatcher } from '../../dispatcher/compose-dispatcher.ts'
import { Transforms } from '../../dispatcher/transforms.ts'
import { completeEvent, deliverOnce, openDispatcherStage, planAll } from '../support/dispatcher-stage.ts'
import { HandClock } from '../support/hand-clock.ts'
import { retryOf } from '../support/job-stage.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

const audit = { actor: 'test', action: 'jobs.retry', target: 'x', reason: 'fixed', details: {} }
const ORDER = Buffer.from('{"order": {"id": 7, "price": 1.50}}')
const LOOP = '($f := function($n) { $f($n + 1) }; $f(0))'
const SOUND = '{"id": order.id}'

test('a receiver gets what the transform makes, signed; the event stays as it came', async () => {
  const handlers = [
    { name: 'json', transform: '{"id": order.id, "type": $event.type}' },
    {
      name: 'text',
      transform: '"<order id=\\"" & order.id & "\\"/>"',
      headers: { 'Content-Type': 'text/xml' },
    },
    { name: 'raw' },
  ]
  await using stage = await openDispatcherStage({ handlers })
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{ body: ORDER }])
  assert.ok(event !== undefined)
  await planAll(dispatcher)
  for (const { name } of handlers) assert.equal(await deliverOnce(dispatcher, name), 1)
  const got = stage.receiver.requests.map(({ headers, body }) => [headers['content-type'], body.toString()])
  assert.deepEqual(got, [
    ['application/json', '{"id":7,"type":"order.paid"}'],
    ['text/xml', '<order id="7"/>'],
    ['application/json', ORDER.toString()],
  ])
})

test('a transform that fails makes a dead job without a request, told once an hour; a retry asks the new one', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing', transform: 'order.total' }] })
  const { logger, lines } = recordedLogger()
  const dispatcher = await stage.compose({ logger })
  const events = await stage.append([{ body: ORDER }, { body: ORDER }, { body: Buffer.from('no JSON') }])
  await planAll(dispatcher)
  assert.equal(await deliverOnce(dispatcher, 'billing'), 3)
  for (const event of events) {
    const job = await stage.job(event, 'billing')
    assert.deepEqual([job.state, job.lastError], ['dead', 'transform_error'])
  }
  const [first] = events
  assert.ok(first !== undefined)
  const [attempt] = await stage.store.listAttempts(`${first.id}.billing`)
  assert.deepEqual([attempt?.statusCode, attempt?.errorClass], [null, 'transform_error'])
  assert.match(attempt?.errorDetail ?? '', /no result/)
  assert.equal(stage.receiver.requests.length, 0)
  assert.equal(
    lines.filter(([level, , text]) => level === 'error' && text.startsWith('transform_error')).length,
    1,
  )

  assert.equal(await stage.store.settleDeadJob(`${first.id}.billing`, retryOf(3), audit), 'settled')
  const handlers = stage.config.handlers.map((handler) => ({ ...handler, transform: SOUND }))
  const corrected = await composeDispatcher({ ...stage.config, handlers }, stage.deps())
  assert.equal(await deliverOnce(corrected, 'billing'), 1)
  await corrected.close()
  assert.equal((await stage.job(first, 'billing')).state, 'completed')
  assert.equal(stage.receiver.requests[0]?.body.toString(), '{"id":7}')
})

test('expressions that never end, or take all memory, end as errors, and the next event is evaluated', async () => {
  const clock = new HandClock()
  const transforms = new Transforms(clock)
  const event = completeEvent({ body: ORDER }, 'a')
  const hostile: readonly (readonly [name: string, source: string, reason: RegExp])[] = [
    ['endless', LOOP, /longer than 2000 ms/],
    ['regex', `$match("${'a'.repeat(60)}!", /(a+)+$/)`, /longer than 2000 ms/],
    ['wide', '$sum([1..99999].($sum([1..99999])))', /longer than 2000 ms/],
    ['memory', '$length($pad("x", 300000000))', /memory/],
  ]
  try {
    for (const [name, source, reason] of hostile) {
      // Of `memory` the process itself is to end, so time stands still.
      const made =
        name === 'memory' ? await transforms.evaluate(name, source, event) : await outlast(name, source)
      assert.ok(made.kind === 'error', name)
      assert.match(made.detail, reason, name)
      const sound = await transforms.evaluate(name, SOUND, event)
      assert.ok(sound.kind === 'body', name)
    }
  } finally {
    transforms.close()
  }

  /** Time passes only while the expression runs: not while its process starts. */
  async function outlast(name: string, source: string): Promise<Evaluated> {
    const ended = new AbortController()
    const evaluated = transforms.evaluate(name, source, event).finally(() => {
      ended.abort()
    })
    while (!ended.signal.aborted) {
      clock.advance(1_000)
      await turn()
    }
    return evaluated
  }
})

test('a handler whose transform never ends delays no other', async () => {
  const clock = new HandClock()
  const transforms = new Transforms(clock)
  const event = completeEvent({ body: ORDER }, 'a')
  const stuck = Array.from({ length: 10 }, () => transforms.evaluate('stuck', LOOP, event))
  const sound = await Promise.all(
    Array.from({ length: 200 }, (_, index) => transforms.evaluate(`good-${index % 5}`, SOUND, event)),
  )
  assert.deepEqual(new Set(sound.map(({ kind }) => kind)), new Set(['body']))
  transforms.close()
  assert.deepEqual(new Set((await Promise.all(stuck)).map(({ kind }) => kind)), new Set(['unavailable']))
})

test('what cannot be evaluated because the dispatcher ends goes back without an attempt', async () => {
  const transforms = new Transforms(systemClock)
  transforms.close()
  const event = completeEvent({ body: ORDER }, 'a')
  assert.equal((await transforms.evaluate('billing', SOUND, event)).kind, 'unavailable')
})
