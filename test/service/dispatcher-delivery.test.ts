/** What receivers and the attempts' history see: retries, timeouts, dead jobs, isolation, the event's own bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retryOf } from '../support/job-stage.ts'
import { deliverOnce, openDispatcherStage, planAll, runnerOf } from '../support/dispatcher-stage.ts'

const audit = { actor: 'test', action: 'jobs.retry', target: 'x', reason: 'fixed', details: {} }

test('500, 500, 200 is three attempts and a completed job, with the same webhook-id each time', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  stage.receiver.script('/billing', (n) => (n < 2 ? 500 : 200))
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{ body: Buffer.from('{"amount": 1.50,\n "ü": 1}') }])
  assert(event !== undefined)
  await planAll(dispatcher)
  for (let attempt = 1; attempt <= 3; attempt++) assert.equal(await deliverOnce(dispatcher, 'billing'), 1)
  const attempts = await stage.store.listAttempts(`${event.id}.billing`)
  assert.deepEqual(
    attempts.map(({ attempt, statusCode, errorClass }) => [attempt, statusCode, errorClass]),
    [
      [1, 500, 'http_5xx'],
      [2, 500, 'http_5xx'],
      [3, 200, null],
    ],
  )
  assert.equal((await stage.job(event, 'billing')).state, 'completed')
  const { requests } = stage.receiver
  assert.equal(requests.length, 3)
  assert.deepEqual(new Set(requests.map(({ headers }) => headers['webhook-id'])).size, 1)
  for (const { body } of requests) assert.deepEqual(body, event.body)
})

test('bytes that are no text arrive as they came, with their content type', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  const dispatcher = await stage.compose()
  const body = Buffer.from(Array.from({ length: 2_048 }, (_, index) => (index * 7) % 256))
  await stage.append([{ body, contentType: 'application/x-raw' }, { body: Buffer.alloc(0) }])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const sizes = stage.receiver.requests.map(({ body: received }) => received.length).sort((a, b) => b - a)
  assert.deepEqual(sizes, [2_048, 0])
  const raw = stage.receiver.requests.find(({ body: received }) => received.length > 0)
  assert.deepEqual(raw?.body, body)
  assert.equal(raw.headers['content-type'], 'application/x-raw')
})

test('no answer is a timeout', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing', timeoutMs: 100 }] })
  stage.receiver.script('/billing', () => 'hang')
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{}])
  assert(event !== undefined)
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const [attempt] = await stage.store.listAttempts(`${event.id}.billing`)
  assert.equal(attempt?.errorClass, 'timeout')
  assert.equal(attempt.statusCode, null)
})

test('an endpoint that stays down makes the job dead, and a retry delivers it with its history', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  stage.receiver.script('/billing', (n) => (n < 3 ? 503 : 200))
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{}])
  assert(event !== undefined)
  await planAll(dispatcher)
  for (let attempt = 1; attempt <= 3; attempt++) await deliverOnce(dispatcher, 'billing')
  assert.equal((await stage.job(event, 'billing')).state, 'dead')
  assert.equal(await stage.store.settleDeadJob(`${event.id}.billing`, retryOf(3), audit), 'settled')
  await deliverOnce(dispatcher, 'billing')
  assert.equal((await stage.job(event, 'billing')).state, 'completed')
  const attempts = await stage.store.listAttempts(`${event.id}.billing`)
  assert.deepEqual(
    attempts.map(({ attempt }) => attempt),
    [1, 2, 3, 4],
  )
})

test('a receiver that is held delays no other handler: each event arrives there on attempt 1', async () => {
  const handlers = [{ name: 'held', concurrency: 2 }, { name: 'quick' }]
  await using stage = await openDispatcherStage({ handlers })
  const release = stage.receiver.hold('/held')
  const dispatcher = await stage.compose()
  const events = await stage.append(Array.from({ length: 60 }, () => ({})))
  await planAll(dispatcher)
  const signal = AbortSignal.timeout(10_000)
  assert.equal(await runnerOf(dispatcher, 'held').step(signal), 2)
  let delivered = 0
  while (delivered < events.length) delivered += await deliverOnce(dispatcher, 'quick')
  for (const event of events) {
    const attempts = await stage.store.listAttempts(`${event.id}.quick`)
    assert.deepEqual(
      attempts.map(({ attempt, statusCode }) => [attempt, statusCode]),
      [[1, 200]],
    )
  }
  release()
  await runnerOf(dispatcher, 'held').drained(signal)
})

test('410 disables the handler, and a blocked address leaves the jobs open', async () => {
  const handlers = [{ name: 'gone' }, { name: 'inside', allowPrivate: false }]
  await using stage = await openDispatcherStage({ handlers })
  stage.receiver.script('/gone', () => 410)
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{}])
  assert(event !== undefined)
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'gone')
  await deliverOnce(dispatcher, 'inside')
  assert.equal((await stage.job(event, 'gone')).state, 'dead')
  assert.equal((await stage.job(event, 'inside')).state, 'retryable')
  const statuses = (await stage.store.handlers()).map(({ handler, status }) => [handler, status])
  assert.deepEqual(Object.fromEntries(statuses), { gone: 'disabled', inside: 'disabled' })
  assert.equal(stage.receiver.requests.length, 1)
})
