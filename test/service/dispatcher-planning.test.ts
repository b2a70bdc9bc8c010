/** Planning on a real store: starts, filters, duplicates, holds and what is behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backlog, OPEN_JOBS_MAX } from '../../dispatcher/backlog.ts'
import { deliverOnce, openDispatcherStage, planAll } from '../support/dispatcher-stage.ts'

test('an expression that fails on an event makes a dead job with its class, and no request', async () => {
  const handlers = [{ name: 'strict', filter: 'payload.total > 5' }]
  await using stage = await openDispatcherStage({ handlers })
  const dispatcher = await stage.compose()
  const [bad, good] = await stage.append([{ body: Buffer.from('{}') }, { body: Buffer.from('{"total": 6}') }])
  assert(bad !== undefined && good !== undefined)
  await planAll(dispatcher)
  const job = await stage.job(bad, 'strict')
  assert.equal(job.state, 'dead')
  assert.match(job.lastError ?? '', /filter_error/)
  await deliverOnce(dispatcher, 'strict')
  assert.equal(stage.receiver.requests.length, 1)
  assert.deepEqual(await stage.store.listAttempts(`${bad.id}.strict`), [])
})

test('a body that is not JSON is dead for filters on payload, and meets no other filter and no pattern', async () => {
  const handlers = [
    { name: 'any' },
    { name: 'guarded', filter: 'event.type == "none" && has(payload.total)' },
    { name: 'head', filter: 'event.type == "order.paid"' },
    { name: 'other', events: ['other'], filter: 'payload.total > 5' },
    { name: 'lenient', filter: 'payload.text == "a\uFFFDb"' },
  ]
  await using stage = await openDispatcherStage({ handlers })
  const dispatcher = await stage.compose()
  const [form, bytes] = await stage.append([
    { body: Buffer.from('total=6') },
    { body: Buffer.from('{"text":"a\xffb"}', 'latin1') },
  ])
  assert(form !== undefined && bytes !== undefined)
  await planAll(dispatcher)
  const stateOf = async (id: string, name: string) =>
    (await stage.store.getJob(`${id}.${name}`))?.state ?? null
  const states = await Promise.all(handlers.map(({ name }) => stateOf(form.id, name)))
  assert.deepEqual(states, ['available', 'dead', 'available', null, 'dead'])
  assert.equal(await stateOf(bytes.id, 'lenient'), 'available')
})

test('the same event id twice in one step is a duplicate and delivered once', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{ dedupKey: 'k' }])
  assert(event !== undefined)
  await stage.append([event])
  await planAll(dispatcher)
  assert.equal(await deliverOnce(dispatcher, 'billing'), 1)
  assert.equal(stage.receiver.requests.length, 1)
})

test('a record that somebody else wrote with the id of an old event and no dedup key is not delivered', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  const dispatcher = await stage.compose()
  const conflict = { dedupKey: 'k', body: Buffer.from('{"n":2}') }
  const events = await stage.append([{ dedupKey: 'k' }, conflict])
  await planAll(dispatcher)
  assert.equal(await deliverOnce(dispatcher, 'billing'), 2)
  await stage.append(events.map(({ id }) => ({ id, body: Buffer.from('{"forged":true}') })))
  await planAll(dispatcher)
  assert.equal((await stage.store.listEvents({ limit: 10 })).items.length, 2)
  const { items: jobs } = await stage.store.listJobs({ limit: 10 })
  assert.deepEqual(
    jobs.map(({ state }) => state),
    ['completed', 'completed'],
  )
})

test('what was acknowledged before the first dispatcher ran is delivered', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  await stage.append([{}, {}])
  const dispatcher = await stage.compose()
  await planAll(dispatcher)
  assert.equal(await deliverOnce(dispatcher, 'billing'), 2)
})

test('a handler that is held stays behind and catches up for itself', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'held' }, { name: 'quick' }] })
  const dispatcher = await stage.compose()
  dispatcher.backlog.planned('held', OPEN_JOBS_MAX + 1)
  await stage.append(Array.from({ length: 30 }, () => ({})))
  await planAll(dispatcher)
  const count = async (handler: string): Promise<number> =>
    (await stage.store.listJobs({ handler, limit: 100 })).items.length
  assert.deepEqual([await count('held'), await count('quick')], [0, 30])
  await stage.append([{}])
  await dispatcher.backlog.step()
  await planAll(dispatcher)
  assert.deepEqual([await count('held'), await count('quick')], [31, 31])
})

test('bounds have hysteresis: planning goes on below half', () => {
  const { store, logger, metrics } = {
    store: { openJobs: () => Promise.resolve([]), handlers: () => Promise.resolve([]) },
    logger: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    metrics: { count: () => undefined, set: () => undefined, observe: () => undefined },
  }
  const backlog = new Backlog({
    endpoints: { isClosed: () => true },
    store,
    handlers: ['billing'],
    logger,
    metrics,
  })
  backlog.planned('billing', OPEN_JOBS_MAX)
  assert.equal(backlog.admits('billing', 500), false)
  for (let n = 0; n < OPEN_JOBS_MAX / 2 - 1; n++) backlog.finished('billing')
  assert.equal(backlog.admits('billing', 500), false)
  backlog.finished('billing')
  assert.equal(backlog.admits('billing', 500), true)
})

test('plan steps and attempts reach the log through the relay, each once', async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  const dispatcher = await stage.compose()
  await stage.append([{}, {}, {}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  // Rows appear once no older transaction runs anywhere on the server, which other tests may share.
  for (const [kind, count] of [
    ['plan_steps', 2],
    ['attempts', 3],
  ] as const) {
    const signal = AbortSignal.timeout(10_000)
    let relayed = 0
    while (relayed < count && !signal.aborted) relayed += await dispatcher.relay.step(kind)
    assert.equal(relayed, count)
    assert.equal(await dispatcher.relay.step(kind), 0)
  }
})

test("a job finishes after its event's slice was dropped", async () => {
  await using stage = await openDispatcherStage({ handlers: [{ name: 'billing' }] })
  const dispatcher = await stage.compose()
  const [event] = await stage.append([{}])
  assert(event !== undefined)
  await planAll(dispatcher)
  const slices = await stage.database.query<{ name: string }>(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'events'::regclass",
  )
  for (const { name } of slices) await stage.database.query(`DROP TABLE ${name}`)
  assert.equal(await stage.store.getEvent(event.id), null)
  await deliverOnce(dispatcher, 'billing')
  assert.equal((await stage.job(event, 'billing')).state, 'completed')
})
