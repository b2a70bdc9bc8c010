/**
 * Requests that must not leave (SSRF): every way to write or to resolve a forbidden address, over the real sender and with
 * a resolver of the test's own. A listener on every address of the machine is the witness: nothing ever reaches it.
 */
import assert from 'node:assert/strict'
import type { LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test } from 'node:test'
import type { Resolve } from '../../adapters/http/connect-timings.ts'
import { createSender } from '../../adapters/http/send.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { AllowPrivate } from '../../core/delivery/address-class.ts'
import { readConfig } from '../../core/config/read-config.ts'
import type { SendResult } from '../../core/delivery/sender.ts'
import { startReceiver } from '../support/receiver.ts'
import { openTrap } from '../support/trap.ts'

/** Hosts of a URL that need `allow_private`, and what they are in truth. */
const WRITTEN = [
  '127.0.0.1',
  '127.0.0.1.',
  '127.1',
  '127.255.255.254',
  '2130706433',
  '017700000001',
  '0x7f000001',
  '0x7f.0.0.1',
  '0177.0.0.1',
  '0x7f.1',
  '127。0。0。1',
  '１２７.0.0.1',
  '①②⑦.0.0.1',
  '%31%32%37.0.0.1',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[64:ff9b:1::7f00:1]',
  '[64:ff9b:1:7f00:0:100:808:808]',
  '[2002:7f00:1::]',
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '100.64.0.1',
  '[fc00::1]',
  '[fd12:3456::1]',
  '[fec0::1]',
]

/** Hosts that stay forbidden under `allow_private: true`. */
const FORBIDDEN = [
  '169.254.169.254',
  '169.254.170.2',
  '0xa9fea9fe',
  '[::ffff:169.254.169.254]',
  '[64:ff9b::a9fe:a9fe]',
  '[64:ff9b:1:a9fe:a9:fe00::]',
  '[2002:a9fe:a9fe::]',
  '[2001:0:a9fe:a9fe::]',
  '[2001:0:808:808:0:0:8080:8080]',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
  '[fd00:ec2::254]',
  '[fd20:ce::254]',
  '[fe80::1]',
  '0.0.0.0',
  '0',
  '[::]',
  '[::2]',
  '[4000::1]',
  '255.255.255.255',
  '224.0.0.1',
  '[ff02::1]',
  '240.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '[2001:db8::1]',
  '[100::1]',
]

/** Names, and what the resolver says of them. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  'loopback.test': ['127.0.0.1'],
  'trailing.test.': ['127.0.0.1'],
  localhost: ['127.0.0.1', '::1'],
  'LOCALHOST.': ['::1'],
  'inside.test': ['10.1.2.3'],
  '127.0.0.1.rebind.test': ['127.0.0.1'],
  'mapped.test': ['::ffff:127.0.0.1'],
  'nat64.test': ['64:ff9b::7f00:1'],
  'metadata.google.internal': ['169.254.169.254'],
  'public-first.test': ['93.184.216.34', '127.0.0.1'],
  'private-first.test': ['127.0.0.1', '93.184.216.34'],
  'zone.test': ['fe80::1%lo'],
  'none.test': ['not an address'],
}

const refused = async (
  host: string,
  allowPrivate: AllowPrivate,
  addresses?: readonly string[],
): Promise<void> => {
  await using trap = await openTrap()
  const { resolve } = resolver(() => addresses ?? ['93.184.216.34'])
  const result = await send(`http://${host}:${trap.port}/`, { allowPrivate, resolve })
  assert.ok(result.kind === 'failed', host)
  assert.equal(result.errorClass, 'blocked', `${host}: ${result.detail}`)
  assert.equal(trap.connections, 0, host)
}

test(`${WRITTEN.length} ways to write a private address need allow_private`, async () => {
  for (const host of WRITTEN) await refused(host, false)
})

test(`${FORBIDDEN.length} addresses stay forbidden under allow_private: true`, async () => {
  for (const host of FORBIDDEN) await refused(host, true)
})

test(`${Object.keys(NAMES).length} names that resolve to what is forbidden, alone or among others`, async () => {
  for (const [host, addresses] of Object.entries(NAMES)) await refused(host, false, addresses)
})

test('a list of ranges opens these and nothing beside them', async () => {
  await refused('127.0.0.1', ['10.0.0.0/8'])
  await refused('mixed.test', ['10.0.0.0/8'], ['10.0.0.1', '192.168.0.1'])
  await refused('metadata.test', ['10.0.0.0/8', 'fd00::/8'], ['169.254.169.254'])
})

test('the address that was checked is the one that is connected to, and each connection is checked again', async () => {
  await using receiver = await startReceiver()
  await using trap = await openTrap()
  const port = new URL(receiver.url).port
  // Rebinding: the second answer is another one, whoever asks for it.
  const { resolve, asked } = resolver((n) => [n === 0 ? '127.0.0.1' : '127.0.0.2'])
  const sender = open(`http://rebind.test:${port}/`, { allowPrivate: ['127.0.0.1/32'], resolve })
  const first = await sender.send(REQUEST)
  assert.ok(first.kind === 'response', JSON.stringify(first))
  assert.equal(first.remoteAddress, '127.0.0.1')
  assert.equal(asked(), 1)
  await sender.close()

  const again = open(`http://rebind.test:${trap.port}/`, { allowPrivate: ['127.0.0.1/32'], resolve })
  const second = await again.send(REQUEST)
  await again.close()
  assert.equal(second.kind === 'failed' && second.errorClass, 'blocked')
  assert.deepEqual([asked(), trap.connections], [2, 0])
})

test('redirects are an answer and are not followed, wherever they point', async () => {
  await using trap = await openTrap()
  const targets = [
    `http://127.0.0.1:${trap.port}/`,
    `http://[::1]:${trap.port}/`,
    `//localhost:${trap.port}/`,
  ]
  let answered = 0
  const server = createServer((_, response) => {
    response
      .writeHead(answered % 2 === 0 ? 302 : 307, { location: targets[answered++ % targets.length] })
      .end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  while (answered < targets.length) {
    const result = await send(`http://127.0.0.1:${address.port}/`, { allowPrivate: true })
    assert.ok(result.kind === 'response')
    assert.ok([302, 307].includes(result.statusCode))
  }
  assert.equal(trap.connections, 0)
  server.close()
  await once(server, 'close')
})

test('URLs that read otherwise than they are requested are refused with the configuration', () => {
  for (const [url, expected] of [
    ['http://public.test@127.0.0.1/', /without a fragment or credentials/],
    ['http://user:secret@public.test/', /without a fragment or credentials/],
    ['http://127.0.0.1#@public.test/', /without a fragment or credentials/],
    ['http:\\\\127.0.0.1\\', /points at a private address/],
    ['http:127.0.0.1', /points at a private address/],
    ['http://１２７.1/', /points at a private address/],
    ['http://ⓛocalhost./', /points at a private address/],
    ['http://a.localhost/', /points at a private address/],
    ['http://[::ffff:7f00:1]/', /points at a private address/],
    ['http://127.0.0.1%00.public.test/', /http or https URL/],
    ['http://[fe80::1%25eth0]/', /http or https URL/],
    ['file:///etc/passwd', /http or https URL/],
    ['gopher://127.0.0.1/', /http or https URL/],
    ['http://public.test:99999/', /http or https URL/],
  ] as const) {
    const text = `version: 1\nsources: { a: { verify: none } }\nhandlers: { h: { source: a, url: ${JSON.stringify(url)} } }\n`
    const read = readConfig({ text, file: 'x.yaml', overlay: null }, { env: {}, readFile: () => '' })
    assert.ok(!read.ok, url)
    assert.match(read.faults[0]?.message ?? '', expected, url)
  }
})

const REQUEST = { headers: {}, body: Buffer.from('{}') }

interface SendOptions {
  readonly allowPrivate: AllowPrivate
  readonly resolve?: Resolve
}

function open(url: string, options: SendOptions) {
  return createSender({
    ...{ url: new URL(url).href, method: 'POST', timeoutMs: 60_000, connectionsMax: 1, tls: null },
    bytesKept: { ok: 0, failed: 0 },
    monotonic: () => systemClock.monotonic(),
    ...options,
  })
}

async function send(url: string, options: SendOptions): Promise<SendResult> {
  const sender = open(url, options)
  const result = await sender.send(REQUEST)
  await sender.close()
  return result
}

/** Answers by how often it was asked before, never at once: as the system's does. */
function resolver(answer: (n: number) => readonly string[]): { resolve: Resolve; asked: () => number } {
  let n = 0
  return {
    asked: () => n,
    resolve: (_, callback) => {
      const addresses: LookupAddress[] = answer(n++).map((address) => ({
        address,
        family: address.includes(':') ? 6 : 4,
      }))
      setImmediate(callback, null, addresses)
    },
  }
}
