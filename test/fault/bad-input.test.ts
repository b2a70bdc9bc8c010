/**
 * Hostile and broken input to a running installation and to the command line. Goal: each is a clear error, nothing
 * else suffers, and the process lives. After all of it a good event still goes through.
 */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { freePort, runCli, startInstallation, type Installation } from '../support/installation.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'

const SECRET = 'a-secret-for-bad-input'

let folder: string
let receiver: Receiver
let trail: Installation
let sequence = 0

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hooktrail-bad-'))
  receiver = await startReceiver()
  trail = await startInstallation({
    folder,
    port: await freePort(),
    config: `
sources:
  github: { verify: github, secrets: ['${SECRET}'], max_body: 64KiB }
handlers:
  one: { source: github, url: '${receiver.url}', allow_private: true }
`,
  })
})

after(async () => {
  await trail.stop()
  await receiver[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

function signed(body: Buffer | string): Record<string, string> {
  return {
    'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
    'x-github-event': 'push',
    'x-github-delivery': `bad-${sequence++}`,
  }
}

async function post(
  body: Buffer | string | ReadableStream,
  headers: Record<string, string>,
  source = 'github',
): Promise<{ status: number; code: unknown }> {
  const response = await fetch(`${trail.url}/webhooks/${source}`, {
    method: 'POST',
    body: typeof body === 'string' || body instanceof ReadableStream ? body : new Uint8Array(body),
    headers,
    ...(body instanceof ReadableStream ? { duplex: 'half' as const } : {}),
  })
  const answer = (await response.json()) as Record<string, unknown>
  return { status: response.status, code: answer['code'] }
}

/** Sends raw bytes, returns everything that came back until the server closed or `until` matched. */
async function raw(bytes: string, until: RegExp): Promise<string> {
  const { hostname, port } = new URL(trail.url)
  const socket = connect({ host: hostname, port: Number(port) })
  let received = ''
  const { promise, resolve } = Promise.withResolvers<void>()
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    if (until.test(received)) resolve()
  })
  socket.on('close', () => {
    resolve()
  })
  socket.on('error', () => {
    resolve()
  })
  socket.write(bytes)
  await promise
  socket.destroy()
  return received
}

test('signatures that are missing, malformed or wrong are 401', async () => {
  for (const value of [
    '',
    'sha256=',
    'sha256=zz',
    'sha1=abc',
    `sha256=${'0'.repeat(64)}`,
    'x'.repeat(5000),
  ]) {
    assert.equal((await post('{}', { 'x-hub-signature-256': value })).status, 401, value.slice(0, 20))
  }
  assert.equal((await post('{}', {})).status, 401)
})

test('an unknown source is 404', async () => {
  assert.equal((await post('{}', signed('{}'), 'nobody')).status, 404)
  assert.equal((await post('{}', signed('{}'), '..%2f..%2fapi')).status, 404)
})

test('a body over the limit is 413, with and without a Content-Length', async () => {
  const body = Buffer.alloc(64 * 1024 + 1, 'x')
  assert.equal((await post(body, signed(body))).status, 413)
  const stream = new ReadableStream({
    start: (controller) => {
      controller.enqueue(new Uint8Array(body))
      controller.close()
    },
  })
  assert.equal((await post(stream, signed(body))).status, 413)
})

test('a body of exactly the limit, an empty one and one that is not UTF-8 are events', async () => {
  for (const body of [Buffer.alloc(64 * 1024, 'x'), Buffer.alloc(0), Buffer.from([0xff, 0xfe, 0x00, 0x80])]) {
    const count = receiver.requests.length
    assert.equal((await post(body, signed(body))).status, 200)
    await receiver.arrived(count + 1)
    assert.deepEqual(receiver.requests.at(-1)?.body, body)
  }
})

test('ten thousand headers are refused and the server lives', async () => {
  const headers = Array.from({ length: 10_000 }, (_, n) => `x-h${n}: v\r\n`).join('')
  const answer = await raw(
    `POST /webhooks/github HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: 2\r\n\r\n{}`,
    /\r\n\r\n/,
  )
  assert.match(answer, /^HTTP\/1\.1 4\d\d /)
})

test('broken HTTP is 400', async () => {
  assert.match(
    await raw('POST /webhooks/github HTTP/1.1\r\nContent-Length: -5\r\n\r\n', /\r\n\r\n/),
    /^HTTP\/1\.1 400 /,
  )
  assert.match(await raw('\x00\x01\x02\r\n\r\n', /\r\n\r\n/), /^HTTP\/1\.1 400 /)
})

test('a good event goes through after all that', async () => {
  const body = '{"good":true}'
  const count = receiver.requests.length
  assert.equal((await post(body, signed(body))).status, 200)
  await receiver.arrived(count + 1)
  assert.equal(receiver.requests.at(-1)?.body.toString(), body)
})

test('a second start in the same home is refused with the reason', async () => {
  const { code, stderr } = await trail.cli('start', '-c', trail.configFile)
  assert.notEqual(code, 0)
  assert.match(stderr, /already|in use|lock/i)
})

test('invalid YAML, a taken port and a home that cannot be written stop the start with a reason', async () => {
  const own = mkdtempSync(join(tmpdir(), 'hooktrail-bad-start-'))
  const file = join(own, 'hooktrail.yaml')
  const env = { ...process.env, HOOKTRAIL_HOME: join(own, 'home') }
  writeFileSync(file, 'version: 1\nsources: [unclosed\n')
  const yaml = await runCli(['start', '-c', file], env)
  assert.notEqual(yaml.code, 0)
  assert.match(yaml.stderr, /hooktrail\.yaml:\d+:\d+|line \d+/)

  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  assert.ok(typeof address === 'object' && address !== null)
  const good = `sources: { a: { verify: none } }\nhandlers: { b: { source: a, url: 'http://127.0.0.1:9/', allow_private: true } }\n`
  writeFileSync(file, `version: 1\nserver: { host: 127.0.0.1, port: ${address.port} }\n${good}`)
  const port = await runCli(['start', '-c', file], env)
  taken.close()
  assert.notEqual(port.code, 0)
  assert.match(port.stderr, /port/i)

  writeFileSync(file, `version: 1\nserver: { host: 127.0.0.1, port: ${await freePort()} }\n${good}`)
  writeFileSync(join(own, 'plain-file'), '')
  const unwritable = await runCli(['start', '-c', file], {
    ...env,
    HOOKTRAIL_HOME: join(own, 'plain-file', 'home'),
  })
  assert.notEqual(unwritable.code, 0)
  assert.match(unwritable.stderr, /plain-file/)

  mkdirSync(join(own, 'open'))
  chmodSync(join(own, 'open'), 0o755)
  const open = await runCli(['start', '-c', file], { ...env, HOOKTRAIL_HOME: join(own, 'open') })
  assert.notEqual(open.code, 0)
  assert.match(open.stderr, /0?700/)
  rmSync(own, { recursive: true, force: true })
})
