/**
 * The schema check of a source against a registry that counts: what is asked and when, what is kept, and what becomes of
 * events while nobody answers.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { RegisteredSchema, SchemaRegistry } from '../../core/ports/schema-registry.ts'
import { JsonBody } from '../../core/record/json-body.ts'
import { DECODED_BYTES_MAX } from '../../core/record/event-record.ts'
import { ASK_AGAIN_MS, FRESH_MS, SchemaCheck, type SchemaVerdict } from '../../ingress/schema-check.ts'
import { HandClock } from '../support/hand-clock.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

/** Versions of one subject, by which one value fits. What is behind the frame is decoded to itself. */
class CountingRegistry implements SchemaRegistry {
  readonly ids = new Set<number>()
  readonly unusable = new Set<number>()
  asked = 0
  newestId: number | null = 1
  isAway = false
  accepts: unknown = true
  gate: Promise<void> = Promise.resolve()

  async newest(): Promise<RegisteredSchema | null> {
    await this.#answer()
    return this.newestId === null ? null : schemaOf(this.newestId, this.accepts)
  }

  async version(_subject: string, id: number): Promise<RegisteredSchema | null> {
    await this.#answer()
    if (this.unusable.has(id)) throw new HooktrailError('SCHEMA_UNUSABLE')
    return this.ids.has(id) ? schemaOf(id, this.accepts) : null
  }

  async #answer(): Promise<void> {
    this.asked++
    await this.gate
    if (this.isAway) throw new HooktrailError('SCHEMA_REGISTRY_UNAVAILABLE')
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}

const MISFIT = { reason: 'does_not_fit', at: null, expected: null } as const

function schemaOf(id: number, accepts: unknown): RegisteredSchema {
  return {
    id,
    check: (value) => (value === accepts ? null : MISFIT),
    decode: (bytes) =>
      bytes.length === 0 ? { ok: false, misfit: MISFIT } : { ok: true, json: bytes.toString('utf8') },
  }
}

function stage(mode: 'validate' | 'decode') {
  const registry = new CountingRegistry()
  const clock = new HandClock()
  const { logger, lines } = recordedLogger()
  const config = { subject: 'orders', mode, onFailure: 'reject' } as const
  const check = new SchemaCheck({ source: 'shop', config, registry, clock, logger })
  const verdictOf = async (body: Buffer | string): Promise<string> => {
    const bytes = Buffer.from(body)
    return told(await check.check(bytes, new JsonBody(bytes)))
  }
  return { registry, clock, check, lines, verdictOf }
}

function told(verdict: SchemaVerdict): string {
  switch (verdict.kind) {
    case 'fits':
      return `${verdict.schemaId} ${verdict.decoded ?? 'fits'}`
    case 'misfit':
      return verdict.misfit.reason
    case 'unchecked':
      return verdict.reason
  }
}

function framed(id: number, payload = 'x'): Buffer {
  const frame = Buffer.alloc(5)
  frame.writeUInt32BE(id, 1)
  return Buffer.concat([frame, Buffer.from(payload)])
}

test('validating asks the registry for nothing but the newest version, and never for a body', async () => {
  const { registry, check, verdictOf } = stage('validate')
  await check.refresh()
  const verdicts = [await verdictOf('true'), await verdictOf('false'), await verdictOf('no json')]
  assert.deepEqual([...verdicts, registry.asked], ['1 fits', 'does_not_fit', 'not_json', 1])
})

test('a body is refused only by a version that was the newest a moment ago', async () => {
  const { registry, check, verdictOf, clock } = stage('validate')
  await check.refresh()
  clock.advance(FRESH_MS)
  registry.accepts = 2
  registry.newestId = 2
  assert.deepEqual([await verdictOf('2'), registry.asked], ['2 fits', 2])
  assert.deepEqual([await verdictOf('3'), registry.asked], ['does_not_fit', 2])
  clock.advance(FRESH_MS)
  const refused = await Promise.all(['3', '4', '5'].map(verdictOf))
  assert.deepEqual([refused, registry.asked], [['does_not_fit', 'does_not_fit', 'does_not_fit'], 3])
  registry.isAway = true
  clock.advance(FRESH_MS)
  assert.deepEqual([await verdictOf('3'), registry.asked], ['does_not_fit', 4])
  clock.advance(FRESH_MS)
  assert.deepEqual([await verdictOf('3'), registry.asked], ['does_not_fit', 4])
})

test('before a schema was had every body is kept unchecked at once, and the check says why', async () => {
  const { registry, check, lines, verdictOf } = stage('validate')
  assert.equal(await verdictOf('false'), 'registry_away')
  registry.isAway = true
  assert.equal(await check.refresh(), false)
  assert.equal(await verdictOf('false'), 'registry_away')
  assert.match(check.missing ?? '', /does not answer: events of shop are kept unchecked/)
  registry.isAway = false
  registry.newestId = null
  await check.refresh()
  await check.refresh()
  assert.equal(await verdictOf('false'), 'subject_missing')
  assert.match(check.missing ?? '', /no such subject/)
  registry.newestId = 4
  await check.refresh()
  assert.equal(await verdictOf('true'), '4 fits')
  assert.equal(check.missing, null)
  assert.deepEqual(
    lines.map(([level]) => level),
    ['warn', 'warn', 'info'],
  )
})

test('a schema that is known is used on while the registry is away', async () => {
  const { registry, check, verdictOf } = stage('validate')
  await check.refresh()
  registry.isAway = true
  await check.refresh()
  assert.deepEqual([await verdictOf('false'), check.missing], ['does_not_fit', null])
})

test('decoding asks once for each id, however many bodies wait for it', async () => {
  const { registry, check, verdictOf } = stage('decode')
  await check.refresh()
  registry.ids.add(7)
  const gate = Promise.withResolvers<void>()
  registry.gate = gate.promise
  const waiting = [framed(7, 'a'), framed(7, 'b'), framed(7, 'c')].map(verdictOf)
  gate.resolve()
  assert.deepEqual(await Promise.all(waiting), ['7 a', '7 b', '7 c'])
  assert.deepEqual([await verdictOf(framed(1)), await verdictOf(framed(7))], ['1 x', '7 x'])
  assert.equal(registry.asked, 2)
})

test('a body without a frame, of an unknown id, or that cannot be read does not fit', async () => {
  const { registry, check, verdictOf, clock } = stage('decode')
  await check.refresh()
  for (const body of ['', '{}', '\0\0\0\0', '{"a":1}']) assert.equal(await verdictOf(body), 'not_framed')
  assert.equal(await verdictOf(framed(1, '')), 'does_not_fit')
  assert.equal(await verdictOf(framed(1, 'x'.repeat(DECODED_BYTES_MAX + 1))), 'decoded_too_large')
  const { asked } = registry
  assert.equal(await verdictOf(framed(9)), 'unknown_schema')
  assert.equal(await verdictOf(framed(9)), 'unknown_schema')
  assert.equal(registry.asked, asked + 1)
  registry.ids.add(9)
  clock.advance(FRESH_MS)
  assert.equal(await verdictOf(framed(9)), '9 x')
})

test('while the registry is away new ids are kept unchecked, and it is asked again after a while', async () => {
  const { registry, check, verdictOf, clock } = stage('decode')
  await check.refresh()
  registry.ids.add(7)
  registry.isAway = true
  const { asked } = registry
  assert.equal(await verdictOf(framed(7)), 'registry_away')
  assert.equal(await verdictOf(framed(8)), 'registry_away')
  assert.equal(registry.asked, asked + 1)
  registry.isAway = false
  assert.equal(await verdictOf(framed(7)), 'registry_away')
  clock.advance(ASK_AGAIN_MS)
  assert.equal(await verdictOf(framed(7)), '7 x')
})

test('a schema that cannot be used leaves its bodies unchecked', async () => {
  const { registry, check, verdictOf } = stage('decode')
  await check.refresh()
  registry.unusable.add(7)
  assert.equal(await verdictOf(framed(7)), 'schema_unusable')
  assert.equal(await verdictOf(framed(1)), '1 x')
})

test('a sender that makes up ids fills neither memory nor the registry', async () => {
  const { registry, check, verdictOf } = stage('decode')
  await check.refresh()
  const gate = Promise.withResolvers<void>()
  registry.gate = gate.promise
  const first = Array.from({ length: 50 }, (_, index) => verdictOf(framed(100 + index)))
  gate.resolve()
  const verdicts = await Promise.all(first)
  assert.deepEqual(
    [verdicts.filter((verdict) => verdict === 'unknown_schema').length, registry.asked],
    [4, 5],
  )
  for (let id = 1_000; id < 1_200; id++) await verdictOf(framed(id))
  const { asked } = registry
  // Of 200 refusals the last 100 are remembered.
  assert.deepEqual([await verdictOf(framed(1_199)), registry.asked], ['unknown_schema', asked])
  assert.deepEqual([await verdictOf(framed(1_000)), registry.asked], ['unknown_schema', asked + 1])
})
