/** The echo receiver of `hooktrail start`: where it listens, and what is said where none does. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { once } from 'node:events'
import { test } from 'node:test'
import { startEcho } from '../../cli/echo.ts'
import { source, valid } from '../support/config-reader.ts'
import { freePort } from '../support/installation.ts'
import { recordedLogger } from '../support/recorded-logger.ts'

function settings(urls: Readonly<Record<string, string>>) {
  const handlers = Object.entries(urls).map(
    ([name, url]) => `${name}: { source: a, url: '${url}', allow_private: true }`,
  )
  return valid(`version: 1\n${source}handlers: { ${handlers.join(', ')} }\n`)
}

async function statusAt(url: string): Promise<number> {
  return (await fetch(url, { method: 'POST', headers: { 'webhook-id': 'e.echo' }, body: '{}' })).status
}

test('the echo receiver listens at each URL of a handler that has its path, whatever port and name', async () => {
  const urls = {
    echo: `http://127.0.0.1:${await freePort()}/hooktrail-echo`,
    other: `http://localhost:${await freePort()}/hooktrail-echo`,
  }
  const { logger, lines } = recordedLogger()
  await using echo = await startEcho(settings(urls), logger)
  assert.ok(echo)
  for (const url of Object.values(urls)) assert.equal(await statusAt(url), 200)
  assert.deepEqual(lines, [])
})

test('the echo receiver says 2xx to deliveries alone: a sender that meets it in place of ingress is refused', async () => {
  const url = `http://127.0.0.1:${await freePort()}/hooktrail-echo`
  await using echo = await startEcho(settings({ echo: url }), recordedLogger().logger)
  assert.ok(echo)
  assert.equal(await statusAt(new URL('/webhooks/demo', url).href), 404)
  assert.equal((await fetch(url, { method: 'POST', body: '{}' })).status, 404)
})

test('a handler echo with the URL of another program gets no receiver, and the log says so', async () => {
  const { logger, lines } = recordedLogger()
  const url = `http://127.0.0.1:${await freePort()}/hooks`
  assert.equal(await startEcho(settings({ echo: url }), logger), null)
  assert.deepEqual(
    lines.map(([level, fields]) => [level, fields]),
    [['info', { url }]],
  )
  assert.equal(await startEcho(settings({ app: url }), logger), null)
  assert.equal(lines.length, 1)
})

test('a taken port of the echo receiver is named', async () => {
  await using taken = createServer().listen(await freePort(), '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  assert.ok(typeof address === 'object' && address !== null)
  const url = `http://127.0.0.1:${address.port}/hooktrail-echo`
  await assert.rejects(startEcho(settings({ echo: url }), recordedLogger().logger), {
    code: 'PORT_IN_USE',
    details: { url, for: 'the echo receiver' },
  })
})
