/**
 * Sources with a schema in a real registry (Apicurio), on a real Postgres log: what is refused and recorded as refused,
 * what is kept with a note, what decoding adds, and that the bytes in the log stay the bytes that were received.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { openSchemaRegistry } from '../../adapters/schema-registry/registry-client.ts'
import { filterContext } from '../../core/plan/plan-handler.ts'
import type { SchemaRegistry } from '../../core/ports/schema-registry.ts'
import { decodeEvent } from '../../core/record/decode-event.ts'
import type { EventRecord } from '../../core/record/event-record.ts'
import { eventTopic } from '../../core/topics.ts'
import {
  post,
  PREFIX,
  startIngressFixture,
  testSource,
  type IngressFixture,
} from '../support/ingress-fixture.ts'
import { createSubjects } from '../support/schema-subjects.ts'
import { orSkip } from '../support/services/local-process.ts'
import { schemaRegistryOrReason } from '../support/services/schema-registry.ts'

const ORDER = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'id', type: 'string' },
    { name: 'kind', type: 'string' },
    { name: 'amount', type: ['null', 'long'], default: null },
  ],
}

interface Stage {
  readonly fixture: IngressFixture
  readonly orderId: number
  readonly otherId: number
  readonly encode: (id: number, value: unknown) => Promise<Buffer>
  /** Look-ups of ids so far. */
  readonly lookups: () => number
}

const open = new AsyncDisposableStack()
let stage: Stage | string = 'not started'

before(async () => {
  stage = await startStage()
})

after(() => open.disposeAsync())

async function startStage(): Promise<Stage | string> {
  const server = await schemaRegistryOrReason()
  if (typeof server === 'string') return server
  open.use(server)
  const subjects = createSubjects(server.url)
  const [things, orders, others] = [randomUUID(), randomUUID(), randomUUID()]
  const required = { type: 'object', required: ['amount'], properties: { amount: { type: 'integer' } } }
  await subjects.json(things, required)
  const orderId = await subjects.avro(orders, ORDER)
  const otherId = await subjects.avro(others, { ...ORDER, name: 'Other' })
  const client = open.use(
    openSchemaRegistry({ url: server.url, credentials: null, ca: null, lookupMsMax: 60_000 }),
  )
  const { registry, lookups } = counted(client)
  const strict = { mode: 'validate', onFailure: 'reject' } as const
  const fixture = open.use(
    await startIngressFixture({
      sources: [
        testSource({ name: 'strict', schema: { subject: things, ...strict } }),
        testSource({ name: 'lenient', schema: { subject: things, ...strict, onFailure: 'accept' } }),
        testSource({ name: 'lost', schema: { subject: randomUUID(), ...strict } }),
        testSource({
          name: 'orders',
          type: '$.kind',
          dedup: { key: '$.id', windowMs: 1000, onConflict: 'deliver', onResend: 'revive' },
          schema: { subject: orders, mode: 'decode', onFailure: 'reject' },
        }),
      ],
      schemaRegistry: registry,
    }),
  )
  return { fixture, orderId, otherId, encode: (id, value) => subjects.encode(id, value), lookups }
}

function counted(real: SchemaRegistry): { registry: SchemaRegistry; lookups: () => number } {
  let count = 0
  const registry: SchemaRegistry = {
    newest: (subject, known) => real.newest(subject, known),
    version: (subject, id) => {
      count++
      return real.version(subject, id)
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return { registry, lookups: () => count }
}

function testWithSchemas(name: string, body: (stage: Stage) => Promise<void>): void {
  test(name, async (t) => {
    const found = await orSkip(t, Promise.resolve(stage))
    if (found !== null) await body(found)
  })
}

/** The answer does not wait for them, nor they for each other. */
async function rejectionsOf(fixture: IngressFixture, count: number): Promise<readonly string[]> {
  const found = await fixture.records(`${PREFIX}.rejected`)
  return found.length < count ? rejectionsOf(fixture, count) : found.map(({ value }) => String(value))
}

async function events({ fixture }: Stage, source: string): Promise<readonly EventRecord[]> {
  const topic = eventTopic(PREFIX, source)
  const records = await fixture.records(topic)
  return records.map((record) =>
    decodeEvent(record, { topic, topicId: '1'.repeat(32), partition: record.partition }),
  )
}

testWithSchemas('a body that fits is kept as it came, and says by which schema', async (stage) => {
  const body = '{"amount":  7 }\n'
  const answer = await post(`${stage.fixture.url}/webhooks/strict`, { body })
  assert.equal(answer.status, 200, answer.text)
  const [event] = await events(stage, 'strict')
  assert.equal(event?.body.toString(), body)
  assert.deepEqual([event.schema?.result, event.schema?.reason, event.decoded], ['fits', null, null])
  assert.equal(typeof event.schema?.schemaId, 'number')
})

testWithSchemas(
  'a body that does not fit is 422 with the place, and its rejection is recorded without it',
  async (stage) => {
    const { fixture } = stage
    const kept = (await events(stage, 'strict')).length
    const answer = await post(`${fixture.url}/webhooks/strict`, { body: '{"amount":"a lot"}' })
    const problem = JSON.parse(answer.text) as Record<string, unknown>
    assert.deepEqual(
      [answer.status, problem['code'], problem['reason'], problem['at'], problem['expected']],
      [422, 'INGRESS_SCHEMA_REFUSED', 'does_not_fit', '/amount', 'must be integer'],
    )
    const noJson = await post(`${fixture.url}/webhooks/strict`, { body: 'a lot' })
    assert.deepEqual([noJson.status, /"reason":"not_json"/.test(noJson.text)], [422, true])
    await post(`${fixture.url}/webhooks/strict`, { body: '{"amount":1}' })
    assert.equal((await events(stage, 'strict')).length, kept + 1)
    const rejections = await rejectionsOf(fixture, 2)
    const details = rejections.map((text) => {
      const { source, reason, detail } = JSON.parse(text) as Record<string, unknown>
      return [source, reason, detail]
    })
    assert.deepEqual(details.sort(), [
      ['strict', 'schema', 'does_not_fit: must be integer'],
      ['strict', 'schema', 'not_json'],
    ])
    assert.ok(!rejections.join('').includes('a lot'))
  },
)

testWithSchemas('where misfits are accepted they are kept with a note', async (stage) => {
  const answer = await post(`${stage.fixture.url}/webhooks/lenient`, { body: '{}' })
  assert.equal(answer.status, 200)
  const [event] = await events(stage, 'lenient')
  assert.deepEqual([event?.schema?.result, event?.schema?.reason], ['misfit', 'does_not_fit'])
})

testWithSchemas(
  'without a subject in the registry events are acknowledged unchecked, and the ingress says so',
  async (stage) => {
    const answer = await post(`${stage.fixture.url}/webhooks/lost`, { body: 'anything' })
    assert.equal(answer.status, 200)
    const [event] = await events(stage, 'lost')
    assert.deepEqual([event?.schema?.result, event?.schema?.reason], ['unchecked', 'subject_missing'])
    assert.match(stage.fixture.ingress.waitingFor() ?? '', /events of lost are kept unchecked/)
  },
)

testWithSchemas(
  'what is decoded gives type, dedup key and filters their fields; the body stays Avro',
  async (stage) => {
    const { fixture, orderId, encode } = stage
    const body = await encode(orderId, { id: 'o-1', kind: 'order.paid', amount: 12 })
    const url = `${fixture.url}/webhooks/orders`
    const answer = await post(url, { body, headers: { 'content-type': 'avro/binary' } })
    assert.equal(answer.status, 200, answer.text)
    assert.match((await post(url, { body })).text, /"duplicate":true/)
    const [event, ...more] = await events(stage, 'orders')
    assert.ok(event && more.length === 0)
    assert.deepEqual(event.body, body)
    assert.deepEqual([event.type, event.dedupKey, event.schema?.schemaId], ['order.paid', 'o-1', orderId])
    assert.equal(event.decoded, '{"id":"o-1","kind":"order.paid","amount":12}')
    assert.deepEqual(filterContext(event)().payload, { id: 'o-1', kind: 'order.paid', amount: 12 })
  },
)

testWithSchemas(
  'JSON, garbage and the schema of another subject are refused where Avro is decoded',
  async (stage) => {
    const { fixture, otherId, orderId, encode } = stage
    const url = `${fixture.url}/webhooks/orders`
    const bodies = {
      not_framed: Buffer.from('{"id":"o-2"}'),
      unknown_schema: await encode(otherId, { id: 'o-3', kind: 'x', amount: null }),
      does_not_fit: (await encode(orderId, { id: 'o-4', kind: 'x', amount: null })).subarray(0, -1),
    }
    for (const [reason, body] of Object.entries(bodies)) {
      const answer = await post(url, { body })
      assert.deepEqual(
        [answer.status, answer.text.includes(`"reason":"${reason}"`)],
        [422, true],
        answer.text,
      )
    }
  },
)

testWithSchemas('schemas that are known cost no look-up', async ({ fixture, orderId, encode, lookups }) => {
  const order = await encode(orderId, { id: 'o-5', kind: 'x', amount: null })
  await post(`${fixture.url}/webhooks/orders`, { body: order })
  const asked = lookups()
  for (let sent = 0; sent < 20; sent++) {
    await post(`${fixture.url}/webhooks/orders`, { body: order })
    await post(`${fixture.url}/webhooks/strict`, { body: '{"amount":1}' })
  }
  assert.equal(lookups(), asked)
})
