/**
 * The verifier against the providers' own packages: what they sign is accepted, what they refuse is refused, and every
 * secret of a rotation counts. Where this file and a package disagree the package is right.
 */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { sign, verify as octokitVerify } from '@octokit/webhooks-methods'
import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import Stripe from 'stripe'
import type { HmacConfig, SourceConfig, VerifyConfig } from '../../core/config/config.ts'
import { createDigestKey } from '../../core/record/keyed-digest.ts'
import { createVerifier, type Verification } from '../../core/verify/verifier.ts'

const NOW_MS = 1_700_000_000_000
const NOW_SECONDS = NOW_MS / 1000
const deps = { digestKey: createDigestKey('digest'), generation: 'g' }
const stripe = new Stripe('sk_test_none')

interface Case {
  readonly scheme: VerifyConfig['scheme']
  readonly secrets: readonly string[]
  readonly headers: Record<string, string> | readonly (readonly [string, string])[]
  readonly body: string | Buffer
  readonly nowMs?: number
  readonly hmac?: HmacConfig
  readonly toleranceSeconds?: number
}

function sourceOf({ scheme, secrets, hmac, toleranceSeconds }: Omit<Case, 'headers' | 'body'>): SourceConfig {
  return {
    name: 's',
    verify: { scheme, hmac: hmac ?? null, toleranceSeconds: toleranceSeconds ?? null },
    secrets,
    dedup: { key: null, windowMs: 1, onConflict: 'deliver', onResend: 'revive' },
    orderBy: null,
    type: null,
    deadlineMs: 1,
    bodyBytesMax: 1,
    schema: null,
    archiveRetention: null,
  }
}

function check(given: Case): Verification {
  const headers = Array.isArray(given.headers) ? given.headers : Object.entries(given.headers)
  return createVerifier(sourceOf(given), deps).verify({
    headers: headers as readonly (readonly [string, string])[],
    body: Buffer.from(given.body),
    nowMs: given.nowMs ?? NOW_MS,
  })
}

function outcome(given: Case): string {
  const result = check(given)
  return result.ok ? 'ok' : result.reason
}

function stripeHeader(payload: string, secret: string, timestamp = NOW_SECONDS): string {
  return stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp })
}

test('what the GitHub package signs is accepted with any of the secrets, in any spelling of the header', async () => {
  const body = '{"zen":"Grüße ☕"}'
  const headers = { 'X-HUB-Signature-256': await sign('second', body) }
  assert.equal(outcome({ scheme: 'github', secrets: ['first', 'second'], headers, body }), 'ok')
  assert.equal(outcome({ scheme: 'github', secrets: ['first'], headers, body }), 'bad_signature')
  assert.equal(await octokitVerify('first', body, headers['X-HUB-Signature-256']), false)
  assert.equal(outcome({ scheme: 'github', secrets: ['second'], headers, body: `${body} ` }), 'bad_signature')
})

test('a missing or malformed GitHub signature is told apart from a wrong one', () => {
  const github = (headers: Record<string, string>): string =>
    outcome({ scheme: 'github', secrets: ['s'], headers, body: '' })
  assert.equal(github({}), 'missing_signature')
  for (const value of [
    '',
    'sha256=',
    'sha256=zz',
    `sha1=${'0'.repeat(40)}`,
    `sha256=${'0'.repeat(63)}`,
    '0'.repeat(64),
  ])
    assert.equal(github({ 'x-hub-signature-256': value }), 'malformed_signature', value)
  assert.equal(github({ 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }), 'bad_signature')
})

test('Stripe: each of several v1 signatures counts, other schemes are ignored', () => {
  const body = '{"id":"evt_1"}'
  const [time, good] = stripeHeader(body, 'whsec_new').split(',')
  const wrong = `v1=${'0'.repeat(64)}`
  for (const value of [
    `${time},${wrong},${good}`,
    `${time},${good},${wrong}`,
    `${time},v0=x,${wrong},${good},v1=short`,
  ]) {
    assert.equal(
      outcome({
        scheme: 'stripe',
        secrets: ['whsec_old', 'whsec_new'],
        headers: { 'stripe-signature': value },
        body,
      }),
      'ok',
    )
  }
  const other = { 'stripe-signature': `${time},${wrong}` }
  assert.equal(outcome({ scheme: 'stripe', secrets: ['whsec_new'], headers: other, body }), 'bad_signature')
  assert.equal(
    outcome({ scheme: 'stripe', secrets: ['s'], headers: { 'stripe-signature': `${good}` }, body }),
    'malformed_signature',
  )
})

test('Stripe: the tolerance has the edges of its own package', () => {
  const body = '{"id":"evt_1"}'
  for (const age of [-400, 0, 299, 300, 301, 10_000]) {
    const header = stripeHeader(body, 's', NOW_SECONDS - age)
    let expected = 'ok'
    try {
      stripe.webhooks.constructEvent(body, header, 's', 300, undefined, NOW_MS)
    } catch {
      expected = 'timestamp_out_of_tolerance'
    }
    assert.equal(
      outcome({ scheme: 'stripe', secrets: ['s'], headers: { 'stripe-signature': header }, body }),
      expected,
    )
  }
})

const STANDARD = `whsec_${Buffer.from('a standard secret for tests').toString('base64')}`

function standardHeaders(
  body: string,
  family: 'webhook' | 'svix' = 'webhook',
  age = 0,
): Record<string, string> {
  const at = new Date(NOW_MS - age * 1000)
  return {
    [`${family}-id`]: 'msg_1',
    [`${family}-timestamp`]: String(Math.floor(at.getTime() / 1000)),
    [`${family}-signature`]: new Webhook(STANDARD).sign('msg_1', at, body),
  }
}

test('Standard Webhooks: what its package signs is accepted under both families of names', () => {
  for (const family of ['webhook', 'svix'] as const) {
    const result = check({
      scheme: 'standard-webhooks',
      secrets: [STANDARD],
      headers: standardHeaders('{}', family),
      body: '{}',
    })
    assert.ok(result.ok)
    assert.equal(result.signedId, 'msg_1')
    assert.equal(result.evidence.signedTimestamp, String(NOW_SECONDS))
  }
})

test('Standard Webhooks: rotation, both directions of the tolerance, and missing parts', () => {
  const headers = standardHeaders('{}')
  const standard = (more: Record<string, string>, secrets = [STANDARD]): string =>
    outcome({ scheme: 'standard-webhooks', secrets, headers: { ...headers, ...more }, body: '{}' })
  const wrong = `v1,${Buffer.alloc(32).toString('base64')}`
  assert.equal(
    standard({ 'webhook-signature': `v1a,xyz ${wrong} ${headers['webhook-signature'] ?? ''}` }),
    'ok',
  )
  assert.equal(standard({}, [`whsec_${Buffer.from('other').toString('base64')}`, STANDARD]), 'ok')
  assert.equal(standard({ 'webhook-signature': wrong }), 'bad_signature')
  assert.equal(standard({ 'webhook-id': 'msg_2' }), 'bad_signature')
  assert.equal(standard({ 'webhook-timestamp': 'yesterday' }), 'malformed_signature')
  for (const [age, expected] of [
    [300, 'ok'],
    [301, 'timestamp_out_of_tolerance'],
    [-300, 'ok'],
    [-301, 'timestamp_out_of_tolerance'],
  ] as const)
    assert.equal(standard(standardHeaders('{}', 'webhook', age)), expected, String(age))
})

test('generic hmac follows its template, algorithm and encoding', () => {
  const hmac: HmacConfig = {
    header: 'X-Sig',
    prefix: 'v0=',
    algorithm: 'sha512',
    encoding: 'base64',
    signed: 'v0:{timestamp}:{id}.{body}',
    timestampHeader: 'X-Ts',
    idHeader: 'X-Id',
  }
  const signature = createHmac('sha512', 'k').update(`v0:${NOW_SECONDS}:7.body`).digest('base64')
  const headers = { 'x-sig': `v0=${signature}`, 'x-ts': String(NOW_SECONDS), 'x-id': '7' }
  const given = { scheme: 'hmac', secrets: ['k'], hmac, toleranceSeconds: 60, headers, body: 'body' } as const
  assert.equal(outcome(given), 'ok')
  assert.equal(outcome({ ...given, nowMs: NOW_MS + 61_000 }), 'timestamp_out_of_tolerance')
  assert.equal(outcome({ ...given, body: 'Body' }), 'bad_signature')
  assert.equal(outcome({ ...given, headers: { 'x-sig': `v0=${signature}` } }), 'malformed_signature')
})

test('evidence names the secret by a keyed fingerprint and never holds it', async () => {
  const headers = { 'x-hub-signature-256': await sign('top-secret', 'x') }
  const result = check({ scheme: 'github', secrets: ['top-secret'], headers, body: 'x' })
  assert.ok(result.ok)
  assert.match(result.evidence.secretId ?? '', /^hmac-sha256:[0-9a-f]{64}$/)
  assert.ok(!JSON.stringify(result.evidence).includes('top-secret'))
  const open = check({ scheme: 'none', secrets: [], headers: {}, body: '' })
  assert.ok(open.ok && open.evidence.class === 'none' && open.evidence.secretId === null)
})

test('a source without a secret, or with one of the wrong shape, is refused when it is made', () => {
  for (const [scheme, secrets] of [
    ['github', []],
    ['github', ['']],
    ['standard-webhooks', ['whsec_not base64!']],
  ] as const)
    assert.throws(() => createVerifier(sourceOf({ scheme, secrets }), deps), {
      code: 'INGRESS_SECRET_INVALID',
    })
})

test('no headers and no bytes ever make the verifier throw or accept', () => {
  const names = [
    'x-hub-signature-256',
    'stripe-signature',
    'webhook-signature',
    'webhook-timestamp',
    'webhook-id',
    'other',
  ]
  const header = fc.tuple(
    fc.constantFrom(...names),
    fc.oneof(fc.string(), fc.constantFrom('t=1,v1=00', 'v1,AAAA', 'sha256=')),
  )
  fc.assert(
    fc.property(
      fc.constantFrom('github', 'stripe', 'standard-webhooks'),
      fc.array(header),
      fc.uint8Array(),
      (scheme, headers, body) => {
        assert.notEqual(outcome({ scheme, secrets: [STANDARD], headers, body: Buffer.from(body) }), 'ok')
      },
    ),
  )
})
