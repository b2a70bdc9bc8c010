/** What a receiver gets: headers, and signatures that the reference implementation of Standard Webhooks accepts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { deliveryHeaders, type DeliveryHead } from '../../core/delivery/delivery-headers.ts'
import { secretKeys } from '../../core/delivery/webhook-signature.ts'
import type { EventRecord } from '../../core/record/event-record.ts'

const OLD = `whsec_${Buffer.alloc(24, 1).toString('base64')}`
const NEW = `whsec_${Buffer.alloc(32, 2).toString('base64')}`

const event: EventRecord = {
  id: '01JZZZZZZZZZZZZZZZZZZZZZZZ',
  source: 'shop',
  type: 'order.paid',
  subject: 'order 7 – paid',
  receivedAtMs: Date.UTC(2026, 0, 1),
  contentType: 'application/json; charset=utf-8',
  traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  dedupKey: null,
  cloudEvent: null,
  request: null,
  evidence: null,
  schema: null,
  decoded: null,
  body: Buffer.from('{"amount": 1.50,  "text":"ü"}'),
  orderingKey: 'x',
}

function headersOf(overrides: Partial<DeliveryHead> = {}): Record<string, string> {
  const ids = { handler: 'billing', jobId: `${event.id}.billing`, attempt: 2, replay: null }
  const head = { ...ids, event, nowMs: Date.now() }
  const sent = { body: event.body, contentType: null }
  return deliveryHeaders({ ...head, ...sent, keys: secretKeys([NEW, OLD]), own: {}, ...overrides })
}

test('each of two secrets verifies with the standardwebhooks package while one rotates', () => {
  for (const secret of [OLD, NEW]) new Webhook(secret).verify(event.body, headersOf())
  const stranger = `whsec_${Buffer.alloc(24, 9).toString('base64')}`
  assert.throws(() => new Webhook(stranger).verify(event.body, headersOf()))
})

test('the signature is the one that the standardwebhooks package makes', () => {
  const headers = headersOf({ keys: secretKeys([OLD]) })
  const at = new Date(Number(headers['webhook-timestamp']) * 1000)
  assert.equal(headers['webhook-signature'], new Webhook(OLD).sign(`${event.id}.billing`, at, event.body))
})

test('webhook-id is the same on every attempt', () => {
  assert.equal(headersOf({ attempt: 1 })['webhook-id'], headersOf({ attempt: 7 })['webhook-id'])
})

test('without a secret there is no signature header', () => {
  assert.equal('webhook-signature' in headersOf({ keys: [] }), false)
})

test('ce, traceparent and x-hooktrail headers say where the event comes from', () => {
  const headers = headersOf()
  assert.equal(headers['ce-id'], event.id)
  assert.equal(headers['ce-source'], '/hooktrail/shop')
  assert.equal(headers['ce-subject'], 'order 7 %E2%80%93 paid')
  assert.equal(headers['traceparent'], event.traceparent)
  assert.equal(headers['content-type'], event.contentType)
  assert.equal(headers['x-hooktrail-attempt'], '2')
  assert.equal(headers['x-hooktrail-event-type'], 'order.paid')
})

test("the sender's own CloudEvents attributes are passed on", () => {
  const cloudEvent = { id: 'theirs', source: '/shop', type: 'order', myext: 'a' }
  const headers = headersOf({ event: { ...event, cloudEvent } })
  assert.equal(headers['ce-id'], 'theirs')
  assert.equal(headers['ce-source'], '/shop')
  assert.equal(headers['ce-myext'], 'a')
  assert.equal(headers['x-hooktrail-event-id'], event.id)
})

test("a handler's own headers are added, but cannot replace the signature's", () => {
  const headers = headersOf({ own: { Authorization: 'Bearer x', 'Webhook-Id': 'y' } })
  assert.equal(headers['authorization'], 'Bearer x')
  assert.equal(headers['webhook-id'], `${event.id}.billing`)
})

test('line breaks in an event cannot make headers', () => {
  const headers = headersOf({ event: { ...event, type: 'a\r\nx-evil: 1' } })
  assert.equal(headers['ce-type'], 'a%0D%0Ax-evil: 1')
})

test('a content type that is too long or no header value is sent as application/octet-stream', () => {
  for (const contentType of ['x'.repeat(70_000), 'text/plain; charset=ü', 'a\r\nb: c', '', null])
    assert.equal(headersOf({ event: { ...event, contentType } })['content-type'], 'application/octet-stream')
})

test('a traceparent that is none is not passed on', () => {
  for (const traceparent of ['x'.repeat(70_000), '00-1-2-3', ''])
    assert.equal('traceparent' in headersOf({ event: { ...event, traceparent } }), false)
})

test('a long type or subject is cut behind a whole character', () => {
  const text = '€'.repeat(512)
  const headers = headersOf({ event: { ...event, type: text, subject: text } })
  for (const name of ['ce-type', 'ce-subject', 'x-hooktrail-event-type'])
    assert.equal(headers[name], '%E2%82%AC'.repeat(113), name)
})

test('long attributes of the sender are left out, and those that are too many', () => {
  const cloudEvent = {
    id: 'i'.repeat(1_025),
    ...Object.fromEntries(Array.from({ length: 64 }, (_, n) => [`ext${n}`, 'v'.repeat(1_000)])),
    small: 'kept',
  }
  const headers = headersOf({ event: { ...event, cloudEvent } })
  assert.equal(headers['ce-id'], event.id)
  assert.equal(headers['ce-small'], 'kept')
  assert.equal(Object.keys(headers).filter((name) => name.startsWith('ce-ext')).length, 8)
})
