/** Immediate repeats at the ingress: same key and same body, in flight or acknowledged; and shedding, and stopping. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eventTopic } from '../../core/topics.ts'
import {
  post,
  PREFIX,
  startIngressFixture,
  testSource,
  type IngressFixture,
} from '../support/ingress-fixture.ts'

let fixture: IngressFixture

before(async () => {
  fixture = await startIngressFixture({
    inFlightBytesMax: 100_000,
    sources: [
      testSource({
        name: 'keyed',
        dedup: { key: '$.id', windowMs: 1000, onConflict: 'deliver', onResend: 'revive' },
      }),
      testSource({ name: 'events' }),
    ],
  })
})

after(() => fixture[Symbol.asyncDispose]())

interface Accepted {
  readonly event_id: string
  readonly duplicate: boolean
}

async function send(body: string, source = 'keyed', headers: Record<string, string> = {}): Promise<Accepted> {
  const { status, text } = await post(`${fixture.url}/webhooks/${source}`, { body, headers })
  assert.equal(status, 200, text)
  return JSON.parse(text) as Accepted
}

async function count(source: string): Promise<number> {
  return (await fixture.records(eventTopic(PREFIX, source))).length
}

test('a repeat of an acknowledged event is answered with its id and not appended', async () => {
  const start = await count('keyed')
  const first = await send('{"id":1}')
  assert.deepEqual(await send('{"id":1}'), { event_id: first.event_id, duplicate: true })
  assert.equal(await count('keyed'), start + 1)
})

test('the same key with another body is appended: the planner decides', async () => {
  const first = await send('{"id":2,"n":1}')
  const second = await send('{"id":2,"n":2}')
  assert.deepEqual([second.duplicate, second.event_id === first.event_id], [false, false])
})

test('ids that differ only beyond what a double holds are two keys', async () => {
  await send('{"id":12345678901234567890}')
  const keys = (await fixture.records(eventTopic(PREFIX, 'keyed'))).map(({ key }) => key?.toString())
  assert.ok(keys.includes('12345678901234567890'))
})

test('twins in flight share the result of the first one', async () => {
  const gate = Promise.withResolvers<void>()
  const entered = Promise.withResolvers<void>()
  fixture.faults.before = () => {
    entered.resolve()
    return gate.promise
  }
  const start = await count('keyed')
  const first = send('{"id":"twin"}')
  await entered.promise
  const second = send('{"id":"twin"}')
  gate.resolve()
  fixture.faults.before = null
  const [a, b] = await Promise.all([first, second])
  assert.deepEqual([a.duplicate, b.duplicate, a.event_id === b.event_id], [false, true, true])
  assert.equal(await count('keyed'), start + 1)
})

test('twins of an append that fails are all told 503', async () => {
  const gate = Promise.withResolvers<void>()
  const entered = Promise.withResolvers<void>()
  fixture.faults.before = () => {
    entered.resolve()
    return gate.promise
  }
  const both = [1, 2].map(() => post(`${fixture.url}/webhooks/keyed`, { body: '{"id":"lost"}' }))
  await entered.promise
  gate.reject(new Error('the log is down'))
  assert.deepEqual(
    (await Promise.all(both)).map(({ status }) => status),
    [503, 503],
  )
  fixture.faults.before = null
  assert.equal((await send('{"id":"lost"}')).duplicate, false)
})

test('events without a key are all kept', async () => {
  const start = await count('events')
  await send('{}', 'events')
  assert.equal((await send('{}', 'events')).duplicate, false)
  assert.equal(await count('events'), start + 2)
})

test("a sender's CloudEvent keeps its attributes and gives type, subject and key", async () => {
  const headers = {
    'ce-specversion': '1.0',
    'ce-id': '7',
    'ce-source': '/shop',
    'ce-type': 'order.paid',
    'ce-subject': 'o%20f',
  }
  const first = await send('{}', 'events', headers)
  assert.deepEqual(await send('{}', 'events', headers), { event_id: first.event_id, duplicate: true })
  const records = await fixture.records(eventTopic(PREFIX, 'events'))
  const record = records.find(({ key }) => key?.toString() === '/shop 7')
  const header = (name: string) =>
    record?.headers.find((candidate) => candidate.name === name)?.value?.toString()
  assert.deepEqual(
    [header('ce_type'), header('ce_subject'), header('ce_id')],
    ['order.paid', 'o f', first.event_id],
  )
})

test('more bytes than may wait are answered 503, and the room comes back', async () => {
  const body = Buffer.alloc(150_000)
  const refused = await post(`${fixture.url}/webhooks/events`, { body })
  assert.match(refused.text, /INGRESS_OVERLOADED/)
  assert.equal(refused.status, 503)
  await send('{}', 'events')
})

test('a stop answers what waits, writes the summary of duplicates, and refuses what comes after', async () => {
  const gate = Promise.withResolvers<void>()
  const entered = Promise.withResolvers<void>()
  fixture.faults.before = () => {
    entered.resolve()
    return gate.promise
  }
  const waiting = send('{"id":"last"}')
  await entered.promise
  const stopped = fixture.ingress.stop()
  assert.equal(fixture.ingress.ready(), false)
  const refused = await post(`${fixture.url}/webhooks/keyed`, { body: '{"id":"after"}' })
  assert.deepEqual([refused.status, /INGRESS_STOPPING/.test(refused.text)], [503, true])
  gate.resolve()
  assert.equal((await waiting).duplicate, false)
  await stopped
  await fixture.ingress.stop()
  const [audit] = await fixture.records(`${PREFIX}.audit`)
  const summary = JSON.parse(audit?.value?.toString() ?? '') as {
    details: { answered_as_duplicate: unknown }
  }
  assert.deepEqual(summary.details.answered_as_duplicate, { keyed: 2, events: 1 })
})
