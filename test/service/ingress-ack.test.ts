/**
 * What a sender is answered, on a real Postgres log: a 2xx only behind the log's acknowledgement, our own faults as
 * 503, refusals with a stable code, and every accepted byte in the log.
 */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { decodeEvent } from '../../core/record/decode-event.ts'
import { eventTopic } from '../../core/topics.ts'
import {
  post,
  PREFIX,
  rawExchange,
  startIngressFixture,
  testSource,
  type IngressFixture,
} from '../support/ingress-fixture.ts'

const SECRET = 'a github secret for tests'
let fixture: IngressFixture

before(async () => {
  fixture = await startIngressFixture({
    sources: [
      testSource({ name: 'open', bodyBytesMax: 1000 }),
      testSource({
        name: 'github',
        verify: { scheme: 'github', hmac: null, toleranceSeconds: null },
        secrets: [SECRET],
      }),
      testSource({
        name: 'hasty',
        deadlineMs: 150,
        dedup: { key: '$.id', windowMs: 1000, onConflict: 'deliver', onResend: 'revive' },
      }),
    ],
    requestTimeoutMs: 700,
  })
})

after(() => fixture[Symbol.asyncDispose]())

beforeEach(() => {
  fixture.faults.before = null
  fixture.faults.after = null
})

function idOf(text: string): string {
  return (JSON.parse(text) as { event_id: string }).event_id
}

function codeOf(text: string): string {
  return (JSON.parse(text) as { code: string }).code
}

async function logged(source: string) {
  const topic = eventTopic(PREFIX, source)
  const records = await fixture.records(topic)
  return records.map((record) =>
    decodeEvent(record, { topic, topicId: '1'.repeat(32), partition: record.partition }),
  )
}

test('a signed request is in the log, byte for byte, when it is answered', async () => {
  const body = Buffer.from('{"action":"opened",  "big": 12345678901234567890}\n')
  const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`
  const answer = await post(`${fixture.url}/webhooks/github?token=abc&x=1`, {
    body,
    headers: {
      'content-type': 'application/json',
      'x-hub-signature-256': signature,
      'x-github-event': 'issues',
      'x-github-delivery': 'd-1',
      authorization: 'Bearer not-to-be-kept',
    },
  })
  assert.equal(answer.status, 200, answer.text)
  const event = (await logged('github')).find(({ id }) => id === idOf(answer.text))
  assert.ok(event)
  assert.deepEqual(event.body, body)
  assert.deepEqual(
    [event.type, event.dedupKey, event.orderingKey, event.contentType],
    ['issues.opened', 'd-1', 'd-1', 'application/json'],
  )
  assert.equal(event.evidence?.signatures['x-hub-signature-256'], signature)
  assert.match(event.request?.query ?? '', /^token=hmac-sha256:[0-9a-f]{64}&x=1$/)
  assert.ok(!JSON.stringify(event).includes('not-to-be-kept'))
})

test('an unknown source is 404 and a wrong signature 401, with stable codes and a record of the rejection', async () => {
  const unknown = await post(`${fixture.url}/webhooks/nobody`, { body: 'x' })
  assert.deepEqual([unknown.status, codeOf(unknown.text)], [404, 'INGRESS_UNKNOWN_SOURCE'])
  assert.match(unknown.headers['content-type'] ?? '', /^application\/problem\+json/)
  const refused = await post(`${fixture.url}/webhooks/github`, {
    body: '{}',
    headers: {
      'x-hub-signature-256': `sha256=${'0'.repeat(64)}`,
      'user-agent': 'u'.repeat(500),
      'x-hidden': 'secret',
    },
  })
  assert.deepEqual([refused.status, codeOf(refused.text)], [401, 'INGRESS_SIGNATURE_REFUSED'])
  // An accepted request goes through the same batcher: behind its answer the rejection is in the log, too.
  await post(`${fixture.url}/webhooks/open`, { body: 'x' })
  const [rejection] = await fixture.records(`${PREFIX}.rejected`)
  const value = JSON.parse(rejection?.value?.toString() ?? '') as Record<string, unknown>
  assert.deepEqual(
    [value['source'], value['reason'], value['detail']],
    ['github', 'signature', 'bad_signature'],
  )
  assert.ok(JSON.stringify(value).length < 1000 && !JSON.stringify(value).includes('x-hidden'))
})

test('a body beyond max_body is 413 with and without a length, one of exactly max_body is accepted', async () => {
  const url = `${fixture.url}/webhooks/open`
  const big = await post(url, { body: Buffer.alloc(1001) })
  const chunked = await post(url, { chunks: [Buffer.alloc(600), Buffer.alloc(600)] })
  const lying = await rawExchange(
    fixture.port,
    `POST /webhooks/open HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n`,
  )
  assert.deepEqual([big.status, chunked.status, codeOf(chunked.text)], [413, 413, 'INGRESS_BODY_TOO_LARGE'])
  assert.match(lying, /^HTTP\/1.1 413/)
  const exact = await post(url, { chunks: [Buffer.alloc(400), Buffer.alloc(600)] })
  assert.equal(exact.status, 200)
})

test('bytes that are no text, no body at all and odd content types are accepted as they are', async () => {
  const url = `${fixture.url}/webhooks/open`
  const bytes = Buffer.from([0xff, 0x00, 0xfe, 0xc3])
  const ids = [
    idOf((await post(url, { body: bytes, headers: { 'content-type': 'not a media type' } })).text),
    idOf((await post(url, { headers: { 'content-length': '0' } })).text),
  ]
  const events = (await logged('open')).filter(({ id }) => ids.includes(id))
  assert.deepEqual(events.map(({ body }) => body.toString('hex')).sort(), ['', 'ff00fec3'])
})

test('when the log refuses, the answer is 503 with Retry-After and the key stays free', async () => {
  fixture.faults.before = () => Promise.reject(new Error('the log is down'))
  const body = '{"id":"down"}'
  const failed = await post(`${fixture.url}/webhooks/hasty`, { body })
  assert.deepEqual([failed.status, codeOf(failed.text)], [503, 'INGRESS_LOG_TIMEOUT'])
  assert.ok(Number(failed.headers['retry-after']) > 0)
  fixture.faults.before = null
  const again = await post(`${fixture.url}/webhooks/hasty`, { body })
  assert.equal(again.status, 200)
  assert.match(again.text, /"duplicate":false/)
})

test('when the log fails behind the effect the sender is told 503 and its retry is kept as well', async () => {
  fixture.faults.after = () => Promise.reject(new Error('the answer was lost'))
  const body = '{"id":"after"}'
  assert.equal((await post(`${fixture.url}/webhooks/hasty`, { body })).status, 503)
  fixture.faults.after = null
  assert.match((await post(`${fixture.url}/webhooks/hasty`, { body })).text, /"duplicate":false/)
  assert.equal((await logged('hasty')).filter(({ dedupKey }) => dedupKey === 'after').length, 2)
})

test('a log that does not answer within the deadline is 503; what lands later makes the retry a duplicate', async () => {
  const gate = Promise.withResolvers<void>()
  fixture.faults.before = () => gate.promise
  const body = '{"id":"late"}'
  const first = await post(`${fixture.url}/webhooks/hasty`, { body })
  assert.deepEqual([first.status, codeOf(first.text)], [503, 'INGRESS_LOG_TIMEOUT'])
  const retry = post(`${fixture.url}/webhooks/hasty`, { body })
  gate.resolve()
  assert.match((await retry).text, /"duplicate":true/)
  assert.equal((await logged('hasty')).filter(({ dedupKey }) => dedupKey === 'late').length, 1)
})

test('ten thousand headers are all kept, more bytes of them than the server takes are refused', async () => {
  const headers = (name: string): string[] => [
    ...['connection', 'close', 'host', 'x', 'content-length', '0'],
    ...Array.from({ length: 10_000 }, () => [name, '']).flat(),
    ...['last', 'kept'],
  ]
  assert.match(await rawExchange(fixture.port, rawRequest(headers('h'))), /^HTTP\/1.1 200/)
  const events = await logged('open')
  const kept = events.find(({ request }) => (request?.headers.length ?? 0) > 10_000)
  assert.deepEqual(kept?.request?.headers.at(-1), ['last', 'kept'])
  assert.match(await rawExchange(fixture.port, rawRequest(headers('long'))), /^(?:HTTP\/1.1 431|$)/)
})

function rawRequest(headers: readonly string[]): string {
  const lines = headers.flatMap((name, index) =>
    index % 2 === 0 ? [`${name}:${headers[index + 1] ?? ''}`] : [],
  )
  return `POST /webhooks/open HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
}

test('a body that does not arrive in time ends with 408 and is not kept', async () => {
  const answer = await rawExchange(
    fixture.port,
    'POST /webhooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nslow',
  )
  assert.match(answer, /^HTTP\/1.1 408/)
  assert.ok(!(await logged('open')).some(({ body }) => body.toString().startsWith('slow')))
})
