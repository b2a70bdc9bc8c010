/** What a listener refuses by itself is a problem with a code, on every one of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createServer } from '../../adapters/http/server.ts'
import { ingressRoutes } from '../../ingress/ingress-routes.ts'

const config = { host: '127.0.0.1', port: 0, bodyBytesMax: 64, inFlightBytesMax: 64, trustedProxies: [] }

test('unknown paths, other methods and malformed requests are answered with problems', async () => {
  const app = createServer(config)
  await app.register(ingressRoutes({ receiver: { handle: () => undefined }, onListen: () => undefined }))
  app.post('/echo', ({ body }) => body)
  const json = { 'content-type': 'application/json' }
  const cases = [
    [{ method: 'GET', url: '/' }, 404, 'API_NO_ROUTE'],
    [
      { method: 'POST', url: '/webhook/demo', payload: '<a/>', headers: { 'content-type': 'text/xml' } },
      404,
      'API_NO_ROUTE',
    ],
    [{ method: 'POST', url: '/nothing', payload: '{', headers: json }, 404, 'API_NO_ROUTE'],
    [{ method: 'GET', url: '/webhooks/demo?a=1' }, 405, 'API_METHOD_NOT_ALLOWED'],
    [{ method: 'DELETE', url: '/echo' }, 405, 'API_METHOD_NOT_ALLOWED'],
    [{ method: 'GET', url: '/%zz' }, 400, 'API_INVALID_REQUEST'],
    [{ method: 'GET', url: '/webhooks/%' }, 400, 'API_INVALID_REQUEST'],
    [{ method: 'POST', url: '/echo', payload: '{', headers: json }, 400, 'API_INVALID_REQUEST'],
    [{ method: 'POST', url: '/echo', payload: ' '.repeat(65), headers: json }, 400, 'API_INVALID_REQUEST'],
  ] as const
  for (const [request, status, code] of cases) {
    const answer = await app.inject(request)
    const { code: answered, status: said, read } = answer.json<Record<string, unknown>>()
    assert.deepEqual([answer.statusCode, answered, said], [status, code, status], request.url)
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
    assert.equal(typeof read, 'string')
    assert.equal(answer.headers['allow'], status === 405 ? 'POST' : undefined)
  }
  await app.close()
})
