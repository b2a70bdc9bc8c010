/** The API on real stores: who is let in, pages, operators' actions with their audit, and what errors look like. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeEvent } from '../../core/record/decode-event.ts'
import { openApiStage, type ApiStage } from '../support/api-stage.ts'
import { deliverOnce, planAll } from '../support/dispatcher-stage.ts'

const HANDLERS = [
  { name: 'billing', retry: { attemptsMax: 1, backoff: { kind: 'fixed', intervalMs: 1 } } },
] as const

type Row = Record<string, unknown>

async function itemsOf(
  api: ApiStage,
  path: string,
): Promise<{ ids: readonly string[]; rows: readonly Row[]; next: string | null }> {
  const { items, next } = (await api.ask(path)).json() as {
    items: (Row & { id: string })[]
    next: string | null
  }
  return { ids: items.map(({ id }) => id), rows: items, next }
}

test('nothing below /api is answered without the very token', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  for (const authorization of [null, 'Bearer wrong', 'Basic token-of-the-test', 'Bearer'])
    for (const path of ['/api/events', '/api/report', '/api/nothing', '/api/export/events']) {
      const { status, type, headers, json } = await api.ask(path, { authorization })
      assert.equal(status, 401, path)
      assert.equal(headers['www-authenticate'], 'Bearer')
      assert.match(type, /^application\/problem\+json/)
      assert.equal(json()['code'], 'API_UNAUTHORIZED')
    }
  assert.equal((await api.ask('/api/events')).status, 200)
})

test('errors are problems with a stable code', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const cases: readonly (readonly [string, number, string])[] = [
    ['/api/events/01', 404, 'API_NOT_FOUND'],
    ['/api/jobs/01.billing', 404, 'API_JOB_NOT_FOUND'],
    ['/api/jobs?handler=bilingual', 404, 'API_HANDLER_NOT_FOUND'],
    ['/api/nothing', 404, 'API_NO_ROUTE'],
    ['/api/events?limit=0', 400, 'API_INVALID_REQUEST'],
    ['/api/events?since=yesterday', 400, 'API_INVALID_REQUEST'],
    ['/api/jobs?status=happy', 400, 'API_INVALID_REQUEST'],
    ['/api/events?source=nobody', 404, 'API_SOURCE_NOT_FOUND'],
    ['/api/export/events?source=nobody', 404, 'API_SOURCE_NOT_FOUND'],
  ]
  for (const [path, status, code] of cases) {
    const answer = await api.ask(path)
    assert.deepEqual(
      [answer.status, answer.json()['code'], answer.json()['status']],
      [status, code, status],
      path,
    )
    assert.match(answer.type, /^application\/problem\+json/)
  }
})

test('a name that no handler has is refused with the nearest one', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  await api.stage.compose()
  const post = { method: 'POST', body: {} } as const
  const dead = { method: 'POST', body: { status: 'dead', handler: 'biling' } } as const
  for (const answer of [
    await api.ask('/api/jobs?handler=biling'),
    await api.ask('/api/handlers/biling/enable', post),
    await api.ask('/api/jobs/retry', dead),
  ])
    assert.deepEqual(
      [answer.status, answer.json()['details']],
      [404, { handler: 'biling', did_you_mean: 'billing' }],
    )
  assert.equal((await api.ask('/api/jobs?handler=billing')).status, 200)
})

test('a source that nobody has is refused with the nearest one, and one that was removed is known', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  for (const path of ['/api/events', '/api/export/events']) {
    const answer = await api.ask(`${path}?source=shpo`)
    assert.deepEqual(
      [answer.status, answer.json()['details']],
      [404, { source: 'shpo', did_you_mean: 'shop' }],
    )
  }
  const topic = `${api.config.log.topicPrefix}.events.former`
  await api.stage.log.ensureTopics([{ name: topic, partitions: 1 }])
  assert.deepEqual(await itemsOf(api, '/api/events?source=former'), { ids: [], rows: [], next: null })
})

test('a parameter that is not valid is told with what may stand there, and what was probably meant', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const faultsOf = async (path: string): Promise<unknown> =>
    ((await api.ask(path)).json()['details'] as { faults: unknown }).faults
  assert.deepEqual(await faultsOf('/api/jobs?status=ded'), [
    'status: must be one of available, running, retryable, completed, dead, discarded; did you mean dead?',
  ])
  assert.deepEqual(await faultsOf('/api/jobs?state=dead'), ['state: is no parameter of this route'])
})

test('a cursor of another list is refused, and so is a span that ends before it begins', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const [event] = await api.stage.append([{}])
  await planAll(await api.stage.compose())
  const reversed = 'since=2026-03-02&until=2026-03-01'
  const refused = [
    ...['/api/events?cursor=0', `/api/events?cursor=${event?.id}.billing`, `/api/jobs?cursor=${event?.id}`],
    ...['/api/jobs?cursor=zzz', '/api/replays?cursor=garbage', `/api/archive/holds?cursor=${event?.id}`],
    ...['events', 'export/events', 'jobs', 'dead-letters', 'report'].map(
      (path) => `/api/${path}?${reversed}`,
    ),
  ]
  for (const path of refused) {
    const { status, json } = await api.ask(path)
    assert.deepEqual([status, json()['code']], [400, 'API_INVALID_REQUEST'], path)
  }
  for (const path of [`/api/events?cursor=${event?.id}`, `/api/jobs?cursor=${event?.id}.billing`])
    assert.deepEqual(await itemsOf(api, path), { ids: [], rows: [], next: null })
})

test('holds come in pages, in the order in which they were asked for', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const ids = ['01J00000000000000000000002', '01J00000000000000000000003', '01J00000000000000000000001']
  const range = { topic: 'events', topic_id: null, partition: null, from: '0', to: null }
  const audit = { actor: 'test', action: 'archive.hold', target: 'x', reason: null, details: {} }
  for (const holdId of ids)
    await api.stage.store.requestHold({ holdId, action: 'hold', range, eventId: null, reason: 'case' }, audit)
  const first = await itemsOf(api, '/api/archive/holds?limit=2')
  const rest = await itemsOf(api, `/api/archive/holds?limit=2&cursor=${first.next}`)
  assert.deepEqual([...first.ids, ...rest.ids], ids.toReversed())
  assert.deepEqual([first.next, rest.next], [ids[1], null])
})

test('an event shows the headers of its request once', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const headers = [['X-A', '1']] as const
  const request = { method: 'POST', path: '/webhooks/shop', query: '', clientIp: '127.0.0.1' }
  const [event] = await api.stage.append([{ request: { ...request, headers } }])
  await planAll(await api.stage.compose())
  const shown = (await api.ask(`/api/events/${event?.id}`)).json()
  assert.deepEqual([shown['headers'], shown['request']], [headers, request])
})

test('pages go on where the page before ended, newest first, each event once', async () => {
  await using api = await openApiStage({ handlers: HANDLERS, partitions: 2 })
  const events = await api.stage.append(Array.from({ length: 7 }, () => ({})))
  await planAll(await api.stage.compose())
  const seen: string[] = []
  let cursor = ''
  for (let next: string | null = ''; next !== null; cursor = next ?? '') {
    const page = await itemsOf(api, `/api/events?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`)
    seen.push(...page.ids)
    next = page.next
  }
  assert.deepEqual(
    seen,
    events
      .map(({ id }) => id)
      .sort()
      .reverse(),
  )
  assert.equal((await itemsOf(api, '/api/jobs?limit=7')).next, null)
})

test('a retry needs its reason where that is set, and its audit row reaches the audit topic', async () => {
  await using api = await openApiStage({ handlers: HANDLERS }, { requireReason: true })
  const { stage } = api
  const dispatcher = await stage.compose()
  stage.receiver.script('/billing', () => 500)
  const [event] = await stage.append([{}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const path = `/api/jobs/${event?.id}.billing`
  assert.equal((await api.ask(path)).json()['status'], 'dead')

  const refused = await api.ask(`${path}/retry`, { method: 'POST', body: {} })
  assert.deepEqual([refused.status, refused.json()['code']], [400, 'API_REASON_REQUIRED'])
  assert.equal((await api.ask(path)).json()['status'], 'dead')

  // The audit row cannot be written: then nothing was retried either.
  await stage.database.query('ALTER TABLE audit ADD CONSTRAINT closed CHECK (false) NOT VALID')
  assert.notEqual((await api.ask(`${path}/retry`, { method: 'POST', body: { reason: 'fixed' } })).status, 200)
  assert.equal((await api.ask(path)).json()['status'], 'dead')
  await stage.database.query('ALTER TABLE audit DROP CONSTRAINT closed')

  const retried = await api.ask(`${path}/retry`, { method: 'POST', body: { reason: 'fixed' } })
  assert.equal(retried.json()['status'], 'available')
  const again = await api.ask(`${path}/retry`, { method: 'POST', body: { reason: 'fixed' } })
  assert.deepEqual([again.status, again.json()['code']], [409, 'API_JOB_NOT_DEAD'])
  assert.deepEqual(await auditOf(api, dispatcher, 1), [`job.retry ${event?.id}.billing fixed`])
})

test('a disabled handler is enabled again, and both are on the audit topic', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const { stage } = api
  const dispatcher = await stage.compose()
  stage.receiver.script('/billing', () => 410)
  const [event] = await stage.append([{}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const health = (await api.ask('/health')).json()
  assert.match(String(health['verdict']), /^No acked event is lost\. billing is disabled: http_4xx: HTTP 410/)
  const { items } = (await api.ask('/api/handlers')).json() as { items: { status_reason: string }[] }
  assert.equal(items[0]?.status_reason, 'http_4xx: HTTP 410')
  const dead = (await api.ask(`/api/jobs/${event?.id}.billing`)).json()
  assert.match(
    String(dead['notice']),
    /billing is disabled \(http_4xx: HTTP 410\).* handlers enable billing$/,
  )

  const enabled = await api.ask('/api/handlers/billing/enable', { method: 'POST', body: { reason: 'back' } })
  assert.deepEqual(enabled.json(), {
    handler: 'billing',
    source: 'shop',
    pool: 'default',
    status: 'active',
    status_reason: null,
    dispatchers: 1,
    unserved_since: null,
    ...{ breaker: 'closed', breaker_reason: null, breaker_since: null },
  })
  assert.equal((await api.ask('/api/handlers/nobody/enable', { method: 'POST', body: {} })).status, 404)
  const audit = await auditOf(api, dispatcher, 2)
  assert.equal(audit.length, 2)
  assert.equal(audit[1], 'handler.enable billing back')
})

test('all dead jobs of a handler are retried once each, counted and audited, and a dry run changes nothing', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const { stage } = api
  const dispatcher = await stage.compose()
  stage.receiver.script('/billing', () => 500)
  const events = await stage.append([{}, {}, {}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const retry = async (body: Record<string, unknown>) =>
    api.ask('/api/jobs/retry', { method: 'POST', body: { status: 'dead', handler: 'billing', ...body } })

  const dry = await retry({ dry_run: true })
  assert.deepEqual(dry.json(), { dry_run: true, matched: 3, retried: 0, left: 3, notice: null })
  assert.equal((await retry({ since: '2100-01-01' })).json()['matched'], 0)
  assert.equal((await retry({ until: '2020-01-01' })).json()['retried'], 0)
  assert.equal((await itemsOf(api, '/api/jobs?status=dead')).ids.length, 3)
  assert.equal((await retry({ handler: 'nobody' })).status, 404)
  assert.equal((await retry({ status: 'available' })).status, 400)
  assert.equal((await api.ask('/api/jobs/retry/more')).status, 404)
  assert.equal((await api.ask('/api/events', { method: 'POST', body: {} })).status, 405)

  const two = (await retry({ limit: 2, reason: 'fixed' })).json()
  assert.deepEqual([two['matched'], two['retried'], two['left']], [3, 2, 1])
  assert.equal((await retry({ reason: 'rest' })).json()['retried'], 1)
  assert.equal((await itemsOf(api, '/api/jobs?status=available')).ids.length, 3)
  const reasons = ['fixed', 'fixed', 'rest']
  assert.deepEqual(
    await auditOf(api, dispatcher, events.length),
    events.map(({ id }, index) => `job.retry ${id}.billing ${reasons[index]}`),
  )
})

test('dead jobs are grouped, discarded for good with a reason, and retried at a rate', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const { stage } = api
  const dispatcher = await stage.compose()
  stage.receiver.script('/billing', (n) => (n < 2 ? 404 : 500))
  await stage.append([{}, {}, {}, {}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const groupsOf = async (by: string) => {
    const { items } = (await api.ask(`/api/dead-letters?by=${by}`)).json() as { items: Row[] }
    return items.map(({ jobs, handler, error }) => [jobs, handler ?? null, error ?? null])
  }
  assert.deepEqual(await groupsOf('handler,error'), [
    [2, 'billing', 'http_4xx'],
    [2, 'billing', 'http_5xx'],
  ])
  assert.deepEqual(await groupsOf('handler'), [[4, 'billing', null]])
  assert.equal((await api.ask('/api/dead-letters?by=colour')).status, 400)

  const discard = (body: Row) =>
    api.ask('/api/jobs/discard', { method: 'POST', body: { status: 'dead', error: 'http_4xx', ...body } })
  assert.equal((await discard({})).status, 400, 'who gives up says why')
  assert.deepEqual((await discard({ dry_run: true })).json(), {
    dry_run: true,
    matched: 2,
    discarded: 0,
    left: 2,
  })
  assert.equal((await discard({ reason: 'test orders' })).json()['discarded'], 2)
  const { ids } = await itemsOf(api, '/api/jobs?status=discarded&error=http_4xx')
  assert.equal(ids.length, 2)
  const gone = await api.ask(`/api/jobs/${ids[0]}/retry`, { method: 'POST', body: {} })
  assert.equal(gone.status, 409)

  const body = { status: 'dead', rate: 0.1, source: 'shop' }
  assert.equal((await api.ask('/api/jobs/retry', { method: 'POST', body })).json()['retried'], 2)
  const waiting = (await itemsOf(api, '/api/jobs?status=available')).rows.map(({ scheduled_at: at }) =>
    Date.parse(String(at)),
  )
  assert.equal(Math.max(...waiting) - Math.min(...waiting), 10_000)
  assert.deepEqual(
    (await auditOf(api, dispatcher, 4)).map((line) => line.replace(/ \S+/, '')),
    ['job.discard test orders', 'job.discard test orders', 'job.retry null', 'job.retry null'],
  )
  const report = (await api.ask('/api/report')).json() as { handlers: Row[]; disagreeing: unknown[] }
  assert.deepEqual(report.disagreeing, [])
  assert.deepEqual(
    report.handlers.map(({ handler, discarded }) => [handler, discarded]).filter(([, count]) => count !== 0),
    [['billing', 2]],
  )
})

test('a paused handler gets nothing until it is enabled, and then all of it', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const { stage } = api
  const dispatcher = await stage.compose()
  const to = (action: string) =>
    api.ask(`/api/handlers/billing/${action}`, { method: 'POST', body: { reason: 'until noon' } })
  const paused = (await to('pause')).json()
  assert.deepEqual([paused['status'], paused['status_reason']], ['paused', 'until noon'])
  await stage.append([{}, {}])
  await planAll(dispatcher)
  const take = { handler: 'billing', slots: 10, leaseMs: 60_000, generation: 'g1' }
  assert.deepEqual((await stage.store.takeDue(take)).jobs, [])
  assert.equal((await to('enable')).json()['status'], 'active')
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  assert.equal(stage.receiver.requests.length, 2)
})

test('a retry says when nothing is delivered all the same', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const { stage } = api
  const dispatcher = await stage.compose()
  stage.receiver.script('/billing', () => 410)
  const [event] = await stage.append([{}])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const one = await api.ask(`/api/jobs/${event?.id}.billing/retry`, { method: 'POST', body: {} })
  assert.match(
    String(one.json()['notice']),
    /billing is disabled \(http_4xx: HTTP 410\).* handlers enable billing$/,
  )

  await stage.database.query(`UPDATE handlers SET handler = 'gone'`)
  const many = { status: 'dead', handler: 'gone' }
  const gone = await api.ask('/api/jobs/retry', { method: 'POST', body: many })
  assert.match(String(gone.json()['notice']), /gone is not in the configuration/)
})

test('health says how far a handler is behind, and what the archive last signed', async () => {
  await using api = await openApiStage({ handlers: HANDLERS })
  const dispatcher = await api.stage.compose()
  await planAll(dispatcher)
  await api.stage.append([{}, {}, {}])
  await api.archiveLog()
  const { verdict, handlers, archive } = (await api.ask('/health')).json() as {
    verdict: string
    handlers: Record<string, unknown>[]
    archive: { last_heartbeat: { n: string }; lag_seconds: number | null }
  }
  assert.match(verdict, /its last heartbeat was 0 s ago|No heartbeat of the archive/)
  assert.equal(handlers[0]?.['lag_records'], 3)
  assert.deepEqual([archive.last_heartbeat.n, archive.lag_seconds], ['0', null])
})

/** What operators did: that handlers were registered stands before it. */
async function auditOf(
  { stage }: ApiStage,
  dispatcher: Awaited<ReturnType<ApiStage['stage']['compose']>>,
  count: number,
): Promise<readonly string[]> {
  // Rows appear once no older transaction runs anywhere on the server, which other tests may share.
  const signal = AbortSignal.timeout(10_000)
  const { length: started } = stage.config.handlers
  for (let relayed = 0; relayed < started + count && !signal.aborted;)
    relayed += await dispatcher.relay.step('audit')
  const topic = (await stage.log.topics()).find(({ name }) => name === 'hooktrail.audit')
  assert(topic !== undefined, 'the audit topic')
  const at = { topic: topic.name, topicId: topic.id, partition: 0 }
  const { records } = await stage.log.read({
    ...at,
    from: 0n,
    recordsMax: 100,
    bytesMax: 1 << 20,
    waitMsMax: 0,
  })
  return records.slice(started).map((record) => {
    const { action, target, reason } = JSON.parse(decodeEvent(record, at).body.toString()) as Record<
      string,
      string
    >
    return `${action} ${target} ${reason}`
  })
}
