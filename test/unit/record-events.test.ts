/** Event records: encode and decode are inverse, decode is total, foreign records get one id, secrets are taken out. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { valid } from '../support/config-reader.ts'
import fc from 'fast-check'
import { boundText, TEXT_LENGTH_MAX } from '../../core/record/bounded-text.ts'
import { decodeEvent } from '../../core/record/decode-event.ts'
import { encodeEvent } from '../../core/record/encode-event.ts'
import { createEventIds, isEventId } from '../../core/record/event-ids.ts'
import { compilePath } from '../../core/match/selector.ts'
import { EVENT_HEADERS, type EventRecord } from '../../core/record/event-record.ts'
import { compileFields } from '../../core/record/event-fields.ts'
import { JsonBody } from '../../core/record/json-body.ts'
import { createDigestKey, keyedDigest } from '../../core/record/keyed-digest.ts'
import { isCredentialHeader, redactHeaders, redactQuery } from '../../core/record/redact.ts'
import { eventTopic, sourceOfTopic } from '../../core/topics.ts'

const at = { topic: eventTopic('hooktrail', 'shop'), topicId: 'ab'.repeat(16), partition: 1 }
const position = { offset: 7n, timestampMs: 1_700_000_000_000n, timestampType: 1 } as const
const ids = createEventIds({
  now: () => 1_700_000_000_000,
  monotonic: () => 0,
  sleep: () => Promise.resolve(),
})
const digestKey = createDigestKey('digest')
const digest = (bytes: Buffer | string): string => keyedDigest(digestKey, bytes)

const text = fc.string({ unit: 'grapheme', maxLength: 100 }).filter((value) => boundText(value) === value)
const orNull = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null })

const event: fc.Arbitrary<EventRecord> = fc.record(
  {
    id: fc.constant(null).map(() => ids()),
    source: fc.constant('shop'),
    type: text,
    subject: orNull(text),
    receivedAtMs: fc.integer({ min: 0, max: 253_402_300_799_999 }),
    contentType: orNull(text),
    traceparent: orNull(text),
    dedupKey: orNull(text),
    cloudEvent: orNull(fc.dictionary(fc.stringMatching(/^[a-z]{1,20}$/), text, { noNullPrototype: true })),
    request: orNull(
      fc.record(
        {
          method: text,
          path: text,
          query: text,
          clientIp: text,
          headers: fc.array(fc.tuple(text, text)),
        },
        { noNullPrototype: true },
      ),
    ),
    evidence: orNull(
      fc.record(
        {
          version: fc.constant(1 as const),
          scheme: text,
          class: fc.constantFrom('shared-secret', 'none'),
          secretId: orNull(text),
          signatures: fc.dictionary(fc.stringMatching(/^[a-z-]{1,20}$/), text, { noNullPrototype: true }),
          signedTimestamp: orNull(text),
          toleranceSeconds: orNull(fc.nat()),
          generation: text,
        },
        { noNullPrototype: true },
      ),
    ),
    schema: orNull(
      fc.record(
        {
          subject: text,
          schemaId: orNull(fc.nat()),
          result: fc.constantFrom('fits', 'misfit', 'unchecked'),
          reason: orNull(text),
        },
        { noNullPrototype: true },
      ),
    ),
    decoded: orNull(text),
    body: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    orderingKey: text,
  },
  { noNullPrototype: true },
)

test('what was encoded is decoded as it was, to the byte', () => {
  fc.assert(
    fc.property(event, (original) => {
      const { headers, ...encoded } = encodeEvent(original)
      const stored = headers.map(({ name, value }) => ({
        name,
        value: value === null ? null : Buffer.from(value),
      }))
      assert.deepEqual(decodeEvent({ ...encoded, headers: stored, ...position }, at), original)
    }),
  )
})

test('no record makes the decoder throw, and the id stays the same', () => {
  const bytes = orNull(fc.uint8Array().map((value) => Buffer.from(value)))
  const name = fc.oneof(fc.constantFrom(...Object.values(EVENT_HEADERS)), fc.string())
  const headers = fc.array(
    fc.record({
      name,
      value: fc.oneof(
        bytes,
        fc.json().map((json) => Buffer.from(json)),
      ),
    }),
  )
  fc.assert(
    fc.property(
      bytes,
      bytes,
      headers,
      fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      (key, value, given, timestampMs) => {
        const record = { ...position, timestampMs, key, value, headers: given }
        const decoded = decodeEvent(record, at)
        assert.ok(isEventId(decoded.id))
        assert.deepEqual(decodeEvent(record, at), decoded)
        assert.ok(new Date(decoded.receivedAtMs).toISOString().length > 0)
        assert.ok(decoded.type.length <= TEXT_LENGTH_MAX && !decoded.type.includes('\0'))
      },
    ),
  )
})

test('a foreign record gets its id from where it lies, its source from the topic and the type unknown', () => {
  const record = { ...position, key: null, value: Buffer.from('x'), headers: [] }
  const first = decodeEvent(record, at)
  assert.deepEqual([first.source, first.type, first.orderingKey], ['shop', 'unknown', first.id])
  const others = [
    decodeEvent({ ...record, offset: 8n }, at),
    decodeEvent({ ...record, timestampMs: 1_700_000_000_001n }, at),
    decodeEvent(record, { ...at, partition: 2 }),
    decodeEvent(record, { ...at, topicId: 'cd'.repeat(16) }),
  ]
  assert.equal(new Set([first.id, ...others.map(({ id }) => id)]).size, 5)
})

test('ids are in order within a millisecond and when the clock steps back', () => {
  let now = 1000
  const next = createEventIds({ now: () => now, monotonic: () => 0, sleep: () => Promise.resolve() })
  const made = [next(), next()]
  now = 500
  made.push(next())
  assert.deepEqual(made, [...made].sort())
  assert.equal(new Set(made).size, 3)
})

test('text that no column takes is spelled out and bounded, and stays distinct', () => {
  const odd = ['\ud800', '\ud801', 'a\0', 'a', 'x'.repeat(600), `${'x'.repeat(600)}y`]
  const bounded = odd.map((value) => boundText(value))
  assert.equal(new Set(bounded).size, odd.length)
  for (const value of bounded) {
    assert.ok(value.isWellFormed() && !value.includes('\0') && value.length <= TEXT_LENGTH_MAX)
    assert.equal(boundText(value), value)
  }
})

test('credentials in headers and queries become keyed digests, all else stays as it was sent', () => {
  const secrets = [
    'Authorization',
    'proxy-authorization',
    'Cookie',
    'Set-Cookie',
    'X-Gitlab-Token',
    'X-Api-Key',
    'X-Amz-Security-Token',
  ]
  for (const name of secrets) assert.ok(isCredentialHeader(name), name)
  for (const name of [
    'X-Hub-Signature-256',
    'Stripe-Signature',
    'I-Twilio-Idempotency-Token',
    'Idempotency-Key',
    'webhook-id',
  ])
    assert.ok(!isCredentialHeader(name), name)
  assert.deepEqual(
    redactHeaders(
      [
        ['Cookie', 'a=b'],
        ['Referer', 'https://x/?sig=1&y=2#z'],
        ['B', 'c?token=d'],
      ],
      digest,
    ),
    [
      ['Cookie', digest('a=b')],
      ['Referer', `https://x/?sig=${digest('1')}&y=2#z`],
      ['B', 'c?token=d'],
    ],
  )
  const query = 'a=1&access_token=t&%74oken=u&apiKey=v&sig=&flag&X-Amz-Signature=w&design=x&password'
  const [, t, u, v, s, , w] = ['', 't', 'u', 'v', '', '', 'w'].map(digest)
  assert.equal(
    redactQuery(query, digest),
    `a=1&access_token=${t ?? ''}&%74oken=${u ?? ''}&apiKey=${v ?? ''}&sig=${s ?? ''}&flag&X-Amz-Signature=${w ?? ''}&design=x&password`,
  )
})

test('paths find scalars as text; large numbers keep their spelling and hostile bodies find nothing', () => {
  const find = (body: string, path: string): string | null =>
    new JsonBody(Buffer.from(body)).text(compilePath(path))
  assert.equal(find('{"a":{"b":"x"}}', '$.a.b'), 'x')
  assert.equal(find('{"a":[{"b":1},{"b":2}]}', '$.a[?@.b==2].b'), '2')
  assert.equal(find('{"id":12345678901234567891}', '$.id'), '12345678901234567891')
  assert.equal(find('{"id":true}', '$.id'), 'true')
  for (const body of [
    '',
    'not json',
    'id=1',
    '{"id":null}',
    '{"id":{}}',
    '{"id":""}',
    '[]',
    '{"__proto__":{"id":1}}',
    '[['.repeat(50_000),
  ])
    assert.equal(find(body, '$.id'), null)
  assert.equal(find(`${'['.repeat(50_000)}${']'.repeat(50_000)}`, '$..id'), null)
})

test('a dedup key with bytes that are no UTF-8 is none: two that differ in them alone are two events', () => {
  const [configured] = valid(
    'version: 1\nsources: { a: { verify: none, dedup: { key: $.id } } }\nhandlers: {}\n',
  ).sources
  assert.ok(configured)
  const keyOf = (body: Buffer) =>
    compileFields(configured).dedup({ headers: [], signedId: null, body: new JsonBody(body) })
  assert.equal(keyOf(Buffer.from('{"id":"M\xfcller"}', 'latin1')), null)
  assert.equal(keyOf(Buffer.from('{"id":"Miller","name":"M\xfcller"}', 'latin1')), 'Miller')
  assert.equal(keyOf(Buffer.from('{"id":"M\uFFFDller"}')), 'M\uFFFDller')
})

test('a topic names its source, and only a topic of events does', () => {
  assert.equal(sourceOfTopic('hooktrail', 'hooktrail.events.shop'), 'shop')
  for (const name of ['hooktrail.audit', 'hooktrail.events.', 'other.events.shop'])
    assert.equal(sourceOfTopic('hooktrail', name), null)
})
