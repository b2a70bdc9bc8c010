/**
 * The whole trail on one box with what providers really send: GitHub's own example payloads, and events signed by the
 * published `stripe` and `standardwebhooks` packages. Goal: every byte that was signed arrives, is queried, exported
 * and archived. Method: a real installation, a plain HTTP receiver, and the archive read with code of its own.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { sign } from '@octokit/webhooks-methods'
import { Webhook } from 'standardwebhooks'
import Stripe from 'stripe'
import { archivedRows } from '../support/archive-reader.ts'
import { eventually, freePort, startInstallation, type Installation } from '../support/installation.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { scale } from '../support/scale.ts'

const GITHUB_SECRET = 'a-github-secret-for-tests'
const STRIPE_SECRET = 'whsec_a_stripe_secret_for_tests'
const STANDARD_SECRET = `whsec_${Buffer.from('a standard secret for these tests').toString('base64')}`

interface Sent {
  readonly eventId: string
  readonly handler: string
  readonly body: string
}

let folder: string
let receiver: Receiver
let trail: Installation
const sent: Sent[] = []

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hooktrail-e2e-'))
  receiver = await startReceiver()
  trail = await startInstallation({
    folder,
    port: await freePort(),
    config: `
sources:
  github: { verify: github, secrets: ['a-rotated-secret', '${GITHUB_SECRET}'] }
  stripe: { verify: stripe, secrets: ['${STRIPE_SECRET}'] }
  standard: { verify: standard-webhooks, secrets: ['${STANDARD_SECRET}'] }
handlers:
${['github', 'stripe', 'standard'].map((name) => `  ${name}-in: { source: ${name}, url: '${receiver.url}/${name}', allow_private: true }`).join('\n')}
`,
  })
})

after(async () => {
  await trail.stop()
  await receiver[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function post(source: string, body: string, headers: Record<string, string>): Promise<void> {
  const response = await fetch(`${trail.url}/webhooks/${source}`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  })
  assert.equal(response.status, 200, await response.clone().text())
  const { event_id: eventId } = (await response.json()) as { event_id: string }
  sent.push({ eventId, handler: `${source}-in`, body })
}

test('the example payloads of GitHub, signed by its own library, are accepted', async () => {
  const examples = createRequire(import.meta.url)('@octokit/webhooks-examples/api.github.com/index.json') as {
    name: string
    examples: unknown[]
  }[]
  const payloads = examples
    .flatMap(({ name, examples: bodies }) => bodies.map((body) => ({ name, body })))
    .slice(0, scale.e2eEventsMax)
  assert.ok(payloads.length > 50)
  for (const [index, { name, body }] of payloads.entries()) {
    const text = JSON.stringify(body)
    await post('github', text, {
      'x-github-event': name,
      'x-github-delivery': `delivery-${index}`,
      'x-hub-signature-256': await sign(GITHUB_SECRET, text),
    })
  }
})

test('events signed by the stripe and standardwebhooks packages are accepted', async () => {
  const stripe = new Stripe('sk_test_none')
  for (let n = 0; n < 20; n++) {
    const event = JSON.stringify(
      { id: `evt_${n}`, type: 'invoice.paid', data: { object: { amount_paid: n, note: 'grüße ☕' } } },
      null,
      2,
    )
    await post('stripe', event, {
      'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload: event, secret: STRIPE_SECRET }),
    })
    const body = `{"type": "user.created",   "n": ${n}, "big": 12345678901234567890}`
    const at = new Date()
    await post('standard', body, {
      'webhook-id': `msg_${n}`,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(STANDARD_SECRET).sign(`msg_${n}`, at, body),
    })
  }
})

test('every event is delivered byte for byte, once, to its own handler', async () => {
  await receiver.arrived(sent.length)
  const bodies = new Map(
    receiver.requests.map(({ headers, body }) => [headers['webhook-id'], body.toString('utf8')]),
  )
  assert.equal(receiver.requests.length, sent.length)
  for (const { eventId, handler, body } of sent) assert.equal(bodies.get(`${eventId}.${handler}`), body)
})

test('each attempt is in the API with the fields that auditors ask for', async () => {
  const { eventId, handler } = sent.at(-1) ?? assert.fail('nothing was sent')
  const job = await eventually('the job is completed', 10_000, async () => {
    const found = (await trail.api(`/api/jobs/${eventId}.${handler}?include_attempts=true`)) as Record<
      string,
      unknown
    >
    return found['status'] === 'completed' ? found : null
  })
  const [attempt] = job['attempts'] as Record<string, unknown>[]
  assert.ok(attempt)
  for (const field of [
    'job_id',
    'event_id',
    'handler',
    'attempt',
    'status_code',
    'duration_ms',
    'error',
    'created_at',
  ])
    assert.ok(field in attempt, field)
  assert.deepEqual(
    {
      job: attempt['job_id'],
      attempt: attempt['attempt'],
      status: attempt['status_code'],
      error: attempt['error'],
    },
    { job: `${eventId}.${handler}`, attempt: 1, status: 200, error: null },
  )
})

test('a second post of the same delivery is answered as a duplicate and not delivered again', async () => {
  const body = '{"type":"user.created","n":0,"twice":true}'
  const at = new Date()
  const headers = {
    'webhook-id': 'msg_twice',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(STANDARD_SECRET).sign('msg_twice', at, body),
  }
  await post('standard', body, headers)
  const again = await fetch(`${trail.url}/webhooks/standard`, { method: 'POST', body, headers })
  assert.deepEqual(await again.json(), { event_id: sent.at(-1)?.eventId, duplicate: true })
})

test('export prints one line for each event with the original JSON text', async () => {
  const { code, stdout, stderr } = await trail.cli(
    'export',
    'events',
    '--source',
    'standard',
    '--url',
    trail.url,
  )
  assert.equal(code, 0, stderr)
  const lines = stdout.trim().split('\n')
  assert.equal(lines.length, 21)
  for (const line of lines) {
    const {
      id,
      source,
      event_type: type,
      created_at: createdAt,
      unique_key: key,
    } = JSON.parse(line) as Record<string, string>
    const original = sent.find(({ eventId }) => eventId === id)
    assert.ok(original && line.includes(original.body), 'the payload is spliced in unchanged')
    assert.deepEqual(
      [source, type, key?.startsWith('msg_'), createdAt?.endsWith('Z')],
      ['standard', 'user.created', true, true],
    )
  }
})

test('after a stop every event is in the archive, and the archive verifies', async () => {
  const report = await trail.cli('report', '--url', trail.url)
  assert.equal(report.code, 0, report.stdout + report.stderr)
  assert.equal(await trail.stop(), 0, trail.output())
  const values = new Map(
    archivedRows(join(trail.home, 'archive')).map(({ eventId, value }) => [eventId, value]),
  )
  for (const { eventId, body } of sent) assert.equal(values.get(eventId), body)
  const verified = await trail.cli(
    'archive',
    'verify',
    join(trail.home, 'archive'),
    '--key',
    join(trail.home, 'keys', 'archive.pub'),
  )
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
})
