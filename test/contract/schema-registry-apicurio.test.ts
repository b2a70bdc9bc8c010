/**
 * Schemas of a real registry (Apicurio, its API for Confluent clients): what is looked up, what each kind of schema says
 * of good, wrong and hostile payloads, and that a registry that hangs, is gone or refuses ends in time with its error.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test, type TestContext } from 'node:test'
import { openSchemaRegistry } from '../../adapters/schema-registry/registry-client.ts'
import type { RegisteredSchema, SchemaRegistry } from '../../core/ports/schema-registry.ts'
import { createSubjects, type Subjects } from '../support/schema-subjects.ts'
import { orSkip } from '../support/services/local-process.ts'
import {
  localRegistryOrReason,
  schemaRegistryOrReason,
  type LocalSchemaRegistry,
  type TestSchemaRegistry,
} from '../support/services/schema-registry.ts'

let opened: TestSchemaRegistry | string = 'not started'

before(async () => {
  opened = await schemaRegistryOrReason()
})

after(async () => {
  if (typeof opened !== 'string') await opened[Symbol.asyncDispose]()
})

interface Stage extends AsyncDisposable {
  readonly registry: SchemaRegistry
  readonly subjects: Subjects
}

function stageAt(url: string): Stage {
  const registry = openSchemaRegistry({ url, credentials: null, ca: null, lookupMsMax: 60_000 })
  return {
    registry,
    subjects: createSubjects(url),
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  }
}

function testOnRegistry(name: string, body: (stage: Stage) => Promise<void>): void {
  test(name, async (t) => {
    const server = await orSkip(t, Promise.resolve(opened))
    if (server === null) return
    await using stage = stageAt(server.url)
    await body(stage)
  })
}

async function newest({ registry }: Stage, subject: string): Promise<RegisteredSchema> {
  const schema = await registry.newest(subject, null)
  assert.ok(schema)
  return schema
}

const ORDER = {
  type: 'record',
  name: 'Order',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'note', type: ['null', 'string'], default: null },
    { name: 'photo', type: 'bytes', default: '' },
    { name: 'lines', type: { type: 'array', items: 'string' }, default: [] },
    { name: 'tags', type: { type: 'map', values: 'int' }, default: {} },
  ],
}

testOnRegistry(
  'the newest version is found, kept while it is the newest, and absent without a subject',
  async (stage) => {
    const { registry, subjects } = stage
    const subject = `shop/orders ${randomUUID()}`
    assert.equal(await registry.newest(subject, null), null)
    const first = await subjects.json(subject, { type: 'object' })
    const known = await newest(stage, subject)
    assert.equal(known.id, first)
    assert.equal(await registry.newest(subject, known), known)
    const second = await subjects.json(subject, { type: 'object', title: 'the second' })
    assert.equal((await registry.newest(subject, known))?.id, second)
  },
)

testOnRegistry('a version belongs to its subject alone', async ({ registry, subjects }) => {
  const [mine, other] = [randomUUID(), randomUUID()]
  const id = await subjects.json(mine, { type: 'object', title: mine })
  await subjects.json(other, { type: 'object', title: other })
  assert.equal((await registry.version(mine, id))?.id, id)
  assert.equal(await registry.version(other, id), null)
  assert.equal(await registry.version(mine, 2_147_483_647), null)
})

testOnRegistry(
  'JSON Schema says where a value misses it, in each dialect, also for two versions with one $id',
  async (stage) => {
    const [latest, draft7] = [randomUUID(), randomUUID()]
    const shape = { $id: 'https://shop.test/order', type: 'object', required: ['id'] }
    await stage.subjects.json(latest, { ...shape, properties: { id: { type: 'integer' } } })
    const old = await newest(stage, latest)
    await stage.subjects.json(latest, { ...shape, properties: { id: { type: 'integer', minimum: 1 } } })
    const schema = await newest(stage, latest)
    assert.equal(schema.check({ id: 7 }), null)
    assert.deepEqual(schema.check({ id: 'x' }), {
      reason: 'does_not_fit',
      at: '/id',
      expected: 'must be integer',
    })
    assert.deepEqual(schema.check({}), {
      reason: 'does_not_fit',
      at: null,
      expected: "must have required property 'id'",
    })
    assert.deepEqual([old.check({ id: 0 }), schema.check({ id: 0 })?.at], [null, '/id'])
    const seven = { $schema: 'http://json-schema.org/draft-07/schema#', items: [{ type: 'string' }] }
    await stage.subjects.json(draft7, seven)
    assert.equal((await newest(stage, draft7)).check([1])?.at, '/0')
  },
)

testOnRegistry('references to other subjects are followed', async (stage) => {
  const [person, order] = [randomUUID(), randomUUID()]
  const $id = `https://shop.test/${person}`
  await stage.subjects.json(person, { $id, type: 'object', required: ['name'] })
  const references = [{ name: $id, subject: person, version: 1 }]
  await stage.subjects.json(order, { properties: { buyer: { $ref: $id } } }, references)
  const schema = await newest(stage, order)
  assert.equal(schema.check({ buyer: { name: 'A' } }), null)
  assert.equal(schema.check({ buyer: {} })?.at, '/buyer')
})

testOnRegistry('Avro says what of plain JSON misses it', async (stage) => {
  const subject = randomUUID()
  await stage.subjects.avro(subject, { ...ORDER, fields: ORDER.fields.slice(0, 2) })
  const schema = await newest(stage, subject)
  assert.equal(schema.check({ id: 9_007_199_254_740_993, note: 'x' }), null)
  assert.equal(schema.check({ id: 1 }), null)
  assert.deepEqual(schema.check({ id: 'x', note: null }), {
    reason: 'does_not_fit',
    at: '/id',
    expected: 'must be "long"',
  })
  for (const value of [null, 7, 'x', [], {}]) assert.equal(schema.check(value)?.reason, 'does_not_fit')
})

testOnRegistry('Avro bytes of an independent encoder become plain JSON, integers in full', async (stage) => {
  const subject = randomUUID()
  const id = await stage.subjects.avro(subject, ORDER)
  const order = { id: 42, note: 'ü', photo: Buffer.from([1, 2, 255]), lines: ['a', 'b'], tags: { x: 1 } }
  const framed = await stage.subjects.encode(id, order)
  const schema = await newest(stage, subject)
  const decoded = schema.decode(framed.subarray(5))
  assert.ok(decoded.ok)
  assert.equal(decoded.json, '{"id":42,"note":"ü","photo":"AQL/","lines":["a","b"],"tags":{"x":1}}')
  // Zigzag of 2^63 - 1; note null; no photo, lines, tags.
  const largest = Buffer.from('feffffffffffffffff0100000000', 'hex')
  assert.deepEqual(schema.decode(largest), {
    ok: true,
    json: '{"id":9223372036854775807,"note":null,"photo":"","lines":[],"tags":{}}',
  })
})

testOnRegistry(
  'Avro bytes that are cut, too long or ask for millions of items do not fit, and cost nothing',
  async (stage) => {
    const subject = randomUUID()
    await stage.subjects.avro(subject, ORDER)
    const schema = await newest(stage, subject)
    const hostile = {
      empty: '',
      cut: '5402',
      trailing: '020000000000ff',
      // 2^40 items, of which none is there.
      items: '020000808080808040',
      entries: '02000000808080808040',
      // The least long, as a count.
      negative: '020000ffffffffffffffffff01',
      union: '0206',
      bytes: '0200fcffffff0f',
    }
    for (const [name, hex] of Object.entries(hostile)) {
      const decoded = schema.decode(Buffer.from(hex, 'hex'))
      assert.equal(decoded.ok ? decoded.json : decoded.misfit.reason, 'does_not_fit', name)
    }
  },
)

testOnRegistry('values deeper than the stack do not fit, whatever the kind of schema', async (stage) => {
  const [json, avro] = [randomUUID(), randomUUID()]
  await stage.subjects.json(json, { properties: { next: { $ref: '#' } } })
  const next = { name: 'next', type: ['null', 'Node'], default: null }
  await stage.subjects.avro(avro, { type: 'record', name: 'Node', fields: [next] })
  const depth = 200_000
  const text = '{"next":'.repeat(depth) + 'null' + '}'.repeat(depth)
  assert.equal((await newest(stage, json)).check(JSON.parse(text))?.reason, 'does_not_fit')
  assert.equal((await newest(stage, json)).decode(Buffer.from(text)).ok, false)
  assert.equal(
    (await newest(stage, avro)).decode(Buffer.concat([Buffer.alloc(depth, 2), Buffer.alloc(1)])).ok,
    false,
  )
})

testOnRegistry('Protobuf is a schema that cannot be used', async ({ registry, subjects }) => {
  const subject = randomUUID()
  await subjects.protobuf(subject, 'syntax = "proto3"; message Order { int64 id = 1; }')
  await assert.rejects(registry.newest(subject, null), { code: 'SCHEMA_UNUSABLE' })
})

testOnRegistry(
  'a registry behind a proxy that asks for a password is let in with it alone',
  async ({ subjects }) => {
    const subject = randomUUID()
    const id = await subjects.json(subject, { type: 'object', title: subject })
    assert.ok(typeof opened !== 'string')
    await using proxy = await startPasswordProxy(opened.url)
    const open = (password: string): SchemaRegistry =>
      openSchemaRegistry({
        url: proxy.url,
        credentials: { username: 'reader', password },
        ca: null,
        lookupMsMax: 60_000,
      })
    await using friend = open('right')
    assert.equal((await friend.newest(subject, null))?.id, id)
    assert.equal((await friend.version(subject, id))?.id, id)
    await using stranger = open('wrong')
    await assert.rejects(stranger.newest(subject, null), { code: 'SCHEMA_REGISTRY_REFUSED' })
    await assert.rejects(stranger.version(subject, id), { code: 'SCHEMA_REGISTRY_REFUSED' })
  },
)

// The last one: it kills the registry of the others where that is a local process.
test('a registry that hangs is given up in time, one that is gone at once, and both are asked again', async (t: TestContext) => {
  const server = await orSkip(t, hasKill(opened) ? Promise.resolve(opened) : localRegistryOrReason())
  if (server === null) return
  await using stack = new AsyncDisposableStack()
  stack.use(server)
  const subject = randomUUID()
  const id = await createSubjects(server.url).json(subject, { type: 'object' })
  const impatient = stack.use(
    openSchemaRegistry({ url: server.url, credentials: null, ca: null, lookupMsMax: 300 }),
  )
  await server.kill('SIGSTOP')
  await assert.rejects(impatient.newest(subject, null), { code: 'SCHEMA_REGISTRY_UNAVAILABLE' })
  await assert.rejects(impatient.version(subject, id), { code: 'SCHEMA_REGISTRY_UNAVAILABLE' })
  await server.kill('SIGCONT')
  const patient = stack.use(
    openSchemaRegistry({ url: server.url, credentials: null, ca: null, lookupMsMax: 60_000 }),
  )
  assert.equal((await patient.newest(subject, null))?.id, id)
  assert.equal((await patient.version(subject, id))?.id, id)
  await server.kill('SIGKILL')
  await assert.rejects(patient.newest(subject, null), { code: 'SCHEMA_REGISTRY_UNAVAILABLE' })
  await assert.rejects(patient.version(subject, id), { code: 'SCHEMA_REGISTRY_UNAVAILABLE' })
})

function hasKill(server: TestSchemaRegistry | string): server is LocalSchemaRegistry {
  return typeof server !== 'string' && 'kill' in server
}

/** What stands in front of many registries: HTTP basic authentication, then the registry as it is. */
async function startPasswordProxy(target: string): Promise<{ readonly url: string } & AsyncDisposable> {
  const expected = `Basic ${Buffer.from('reader:right').toString('base64')}`
  const proxy = createServer((incoming, outgoing) => {
    if (incoming.headers.authorization !== expected) {
      outgoing.writeHead(401).end()
      return
    }
    httpRequest(target + (incoming.url ?? ''), { method: incoming.method }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    }).end()
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  proxy.listen(0, '127.0.0.1', resolve)
  await promise
  const { port } = proxy.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      proxy.closeAllConnections()
      const closed = Promise.withResolvers<void>()
      proxy.close(() => {
        closed.resolve()
      })
      await closed.promise
    },
  }
}
