/** Receivers behind a certificate of one's own, and those that ask for one of the client: both ways, and what is said without. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import { test } from 'node:test'
import { createSender } from '../../adapters/http/send.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { TlsConfig } from '../../core/config/config.ts'
import { readConfig } from '../../core/config/read-config.ts'
import type { SendResult } from '../../core/delivery/sender.ts'
import { ServiceUnavailableError } from '../support/services/local-process.ts'
import { createCertificate, type Certificate } from '../support/services/self-signed.ts'

const NO_CERTIFICATE: Certificate = { key: '', certificate: '' }
const made = await Promise.all([createCertificate(), createCertificate(), createCertificate()]).catch(
  (error: unknown) => {
    if (error instanceof ServiceUnavailableError) return null
    throw error
  },
)
const skip = made === null && 'openssl is not installed'
const [own, client, other] = made ?? [NO_CERTIFICATE, NO_CERTIFICATE, NO_CERTIFICATE]

interface Endpoint extends AsyncDisposable {
  readonly url: string
  readonly requests: number
}

async function openEndpoint(clients: Certificate | null): Promise<Endpoint> {
  let requests = 0
  const server = createServer(
    {
      key: own.key,
      cert: own.certificate,
      ...(clients === null ? {} : { ca: clients.certificate, requestCert: true, rejectUnauthorized: true }),
    },
    (_, response) => {
      requests += 1
      response.end()
    },
  ).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  return {
    url: `https://127.0.0.1:${address.port}/`,
    get requests() {
      return requests
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function send(url: string, tls: TlsConfig | null): Promise<SendResult> {
  const sender = createSender({
    ...{ url, method: 'POST', timeoutMs: 60_000, connectionsMax: 1, tls, allowPrivate: true },
    bytesKept: { ok: 0, failed: 0 },
    monotonic: () => systemClock.monotonic(),
  })
  const result = await sender.send({ headers: {}, body: Buffer.from('{}') })
  await sender.close()
  return result
}

function failure(result: SendResult): string {
  return result.kind === 'failed' ? result.errorClass : result.kind
}

test('a private authority is believed where it is named, and only there', { skip }, async () => {
  await using endpoint = await openEndpoint(null)
  const trusting = await send(endpoint.url, { ca: own.certificate, cert: null, key: null })
  assert.ok(trusting.kind === 'response' && trusting.statusCode === 200)
  assert.notEqual(trusting.timings.tlsMs, null)
  assert.equal(failure(await send(endpoint.url, null)), 'tls')
  const wrong = { ca: other.certificate, cert: null, key: null }
  assert.equal(failure(await send(endpoint.url, wrong)), 'tls')
  assert.equal(endpoint.requests, 1)
})

test(
  'an endpoint that asks for a client certificate gets the handler’s; no request comes with another one or none',
  { skip },
  async () => {
    await using endpoint = await openEndpoint(client)
    const ca = own.certificate
    const right = await send(endpoint.url, { ca, cert: client.certificate, key: client.key })
    assert.ok(right.kind === 'response' && right.statusCode === 200)
    for (const wrong of [
      { ca, cert: null, key: null },
      { ca, cert: other.certificate, key: other.key },
    ])
      // In TLS 1.3 the server refuses behind the handshake: its alert or its reset comes first.
      assert.match(failure(await send(endpoint.url, wrong)), /^(?:tls|network)$/)
    assert.equal(endpoint.requests, 1)
  },
)

test('what does not fit together is refused with the configuration, without showing a key', { skip }, () => {
  const faultsOf = (tls: Record<string, string>, url = 'https://app.test/'): readonly string[] => {
    const handler = { source: 'a', url, tls }
    const text = `version: 1\nsources: { a: { verify: none } }\nhandlers: { h: ${JSON.stringify(handler)} }\n`
    const read = readConfig({ text, file: 'x.yaml', overlay: null }, { env: {}, readFile: () => '' })
    return read.ok ? [] : read.faults.map(({ path, message }) => `${path} ${message}`)
  }
  const { certificate: cert, key } = client
  assert.deepEqual(faultsOf({ ca: own.certificate, cert, key }), [])
  assert.deepEqual(faultsOf({ cert, key }, 'http://app.test/'), ['handlers.h.tls needs an https URL'])
  assert.deepEqual(faultsOf({ cert }), ['handlers.h.tls.cert cert and key belong together'])
  assert.deepEqual(faultsOf({ cert, key: other.key }), ['handlers.h.tls.key does not belong to cert'])
  assert.match(String(faultsOf({ ca: own.key })), /tls\.ca is not PEM with certificates alone/)
  assert.match(String(faultsOf({ cert: own.key, key })), /tls\.cert is not PEM with certificates/)
  assert.match(String(faultsOf({ cert, key: cert })), /tls\.key is not a PEM private key/)
})
