/**
 * The whole trail on each size with what providers really send: GitHub's own example payloads, and events signed by the
 * published `stripe` and `standardwebhooks` packages. Goal: every byte that was signed arrives, is queried, exported
 * and archived. Method: a real installation, a plain HTTP receiver, and the archive read with code of its own.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sign } from '@octokit/webhooks-methods'
import { Webhook } from 'standardwebhooks'
import Stripe from 'stripe'
import { eventually, freePort, startInstallation, type Installation } from '../support/installation.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { scale } from '../support/scale.ts'
import { orSkip } from '../support/services/local-process.ts'
import { openSize, SIZE_NAMES, type Size } from '../support/sizes.ts'

const GITHUB_SECRET = 'a-github-secret-for-tests'
const STRIPE_SECRET = 'whsec_a_stripe_secret_for_tests'
const STANDARD_SECRET = `whsec_${Buffer.from('a standard secret for these tests').toString('base64')}`
const COMPLETED_MS_MAX = 60_000

interface Sent {
  readonly eventId: string
  readonly handler: string
  readonly body: string
}

interface Place {
  readonly size: Size
  readonly receiver: Receiver
  readonly trail: Installation
  readonly sent: Sent[]
}

/** Each goes on from what the ones before have sent. */
const STEPS = {
  'the example payloads of GitHub, signed by its own library, are accepted': acceptsGithub,
  'events signed by the stripe and standardwebhooks packages are accepted': acceptsOthers,
  'every event is delivered byte for byte, once, to its own handler': deliversBytes,
  'each attempt is in the API with the fields that auditors ask for': showsAttempts,
  'a second post of the same delivery is answered as a duplicate and not delivered again': answersDuplicate,
  'export prints one line for each event with the original JSON text': exportsText,
  'after a stop every event is in the archive, and the archive verifies': archivesAll,
}

for (const name of SIZE_NAMES)
  test(`what providers send is kept, delivered and archived byte for byte: ${name}`, async (t) => {
    await using opened = new AsyncDisposableStack()
    const size = opened.use(await orSkip(t, openSize(name)))
    if (size === null) return
    const folder = mkdtempSync(join(tmpdir(), 'hooktrail-e2e-'))
    opened.defer(() => {
      rmSync(folder, { recursive: true, force: true })
    })
    const receiver = opened.use(await startReceiver())
    const config = configOf(size, receiver)
    const trail = opened.use(
      await startInstallation({ folder, port: await freePort(), config, env: size.env }),
    )
    const place = { size, receiver, trail, sent: [] }
    for (const [step, run] of Object.entries(STEPS)) await t.test(step, () => run(place))
  })

function configOf(size: Size, { url }: Receiver): string {
  const handlers = ['github', 'stripe', 'standard'].map(
    (name) => `  ${name}-in: { source: ${name}, url: '${url}/${name}', allow_private: true }`,
  )
  return `${size.config}
sources:
  github: { verify: github, secrets: ['a-rotated-secret', '${GITHUB_SECRET}'] }
  stripe: { verify: stripe, secrets: ['${STRIPE_SECRET}'] }
  standard: { verify: standard-webhooks, secrets: ['${STANDARD_SECRET}'] }
handlers:
${handlers.join('\n')}
`
}

async function post(
  { trail, sent }: Place,
  source: string,
  { body, headers }: { readonly body: string; readonly headers: Record<string, string> },
): Promise<void> {
  const response = await fetch(`${trail.url}/webhooks/${source}`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json', ...headers },
  })
  assert.equal(response.status, 200, await response.clone().text())
  const { event_id: eventId } = (await response.json()) as { event_id: string }
  sent.push({ eventId, handler: `${source}-in`, body })
}

async function acceptsGithub(place: Place): Promise<void> {
  const examples = createRequire(import.meta.url)('@octokit/webhooks-examples/api.github.com/index.json') as {
    name: string
    examples: unknown[]
  }[]
  const payloads = examples
    .flatMap(({ name, examples: bodies }) => bodies.map((body) => ({ name, body })))
    .slice(0, scale.e2eEventsMax)
  assert.ok(payloads.length > 50)
  const posts = payloads.map(async ({ name, body: payload }, index) => {
    const body = JSON.stringify(payload)
    const headers = {
      'x-github-event': name,
      'x-github-delivery': `delivery-${index}`,
      'x-hub-signature-256': await sign(GITHUB_SECRET, body),
    }
    await post(place, 'github', { body, headers })
  })
  await Promise.all(posts)
}

async function acceptsOthers(place: Place): Promise<void> {
  const { webhooks } = new Stripe('sk_test_none')
  for (let n = 0; n < 20; n++) {
    const payload = JSON.stringify(
      { id: `evt_${n}`, type: 'invoice.paid', data: { object: { amount_paid: n, note: 'grüße ☕' } } },
      null,
      2,
    )
    const signature = webhooks.generateTestHeaderString({ payload, secret: STRIPE_SECRET })
    await post(place, 'stripe', { body: payload, headers: { 'stripe-signature': signature } })
    const body = `{"type": "user.created",   "n": ${n}, "big": 12345678901234567890}`
    await post(place, 'standard', { body, headers: standardHeaders(`msg_${n}`, body) })
  }
}

function standardHeaders(id: string, body: string): Record<string, string> {
  const at = new Date()
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': new Webhook(STANDARD_SECRET).sign(id, at, body),
  }
}

async function deliversBytes({ receiver, sent }: Place): Promise<void> {
  await receiver.arrived(sent.length)
  const bodies = new Map(
    receiver.requests.map(({ headers, body }) => [headers['webhook-id'], body.toString('utf8')]),
  )
  assert.equal(receiver.requests.length, sent.length)
  for (const { eventId, handler, body } of sent) assert.equal(bodies.get(`${eventId}.${handler}`), body)
}

async function showsAttempts({ trail, sent }: Place): Promise<void> {
  const { eventId, handler } = sent.at(-1) ?? assert.fail('nothing was sent')
  const jobId = `${eventId}.${handler}`
  const job = await eventually('the job is completed', COMPLETED_MS_MAX, async () => {
    const found = (await trail.api(`/api/jobs/${jobId}?include_attempts=true`)) as Record<string, unknown>
    return found['status'] === 'completed' ? found : null
  })
  const [attempt] = job['attempts'] as Record<string, unknown>[]
  assert.ok(attempt)
  for (const field of ['event_id', 'handler', 'duration_ms', 'created_at']) assert.ok(field in attempt, field)
  const { job_id: of, attempt: number, status_code: status, error } = attempt
  assert.deepEqual({ of, number, status, error }, { of: jobId, number: 1, status: 200, error: null })
}

async function answersDuplicate(place: Place): Promise<void> {
  const body = '{"type":"user.created","n":0,"twice":true}'
  const headers = standardHeaders('msg_twice', body)
  await post(place, 'standard', { body, headers })
  const again = await fetch(`${place.trail.url}/webhooks/standard`, { method: 'POST', body, headers })
  assert.deepEqual(await again.json(), { event_id: place.sent.at(-1)?.eventId, duplicate: true })
  await place.receiver.arrived(place.sent.length)
}

async function exportsText({ trail, sent }: Place): Promise<void> {
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
}

async function archivesAll({ size, receiver, trail, sent }: Place): Promise<void> {
  const report = await trail.cli('report', '--url', trail.url)
  assert.equal(report.code, 0, report.stdout + report.stderr)
  assert.equal(await trail.stop(), 0, trail.output())
  assert.equal(receiver.requests.length, sent.length, 'nothing was sent twice')
  const values = new Map(size.rows(trail.home).map(({ eventId, value }) => [eventId, value]))
  for (const { eventId, body } of sent) assert.equal(values.get(eventId), body)
  const key = join(trail.home, 'keys', 'archive.pub')
  const verified = await trail.cli('archive', 'verify', size.archive(trail.home), '--key', key)
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
}
