/** A receiver that knows nothing but what the API publishes verifies what it got. */
import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { test } from 'node:test'
import { openApiStage } from '../support/api-stage.ts'
import { deliverOnce, planAll } from '../support/dispatcher-stage.ts'

test('a v1a signature is verified with the published key; private keys are shown nowhere', async () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  await using api = await openApiStage({
    handlers: [{ name: 'billing', signingKeys: [pem] }, { name: 'search' }],
  })
  const { stage } = api
  const dispatcher = await stage.compose()
  await stage.append([{ body: Buffer.from('{"n": 1}') }])
  await planAll(dispatcher)
  await deliverOnce(dispatcher, 'billing')
  const [request] = stage.receiver.requests
  assert.ok(request !== undefined)

  const answer = (await api.ask('/api/signing-keys')).json() as { items: { handler: string; pem: string }[] }
  assert.deepEqual(
    answer.items.map(({ handler }) => handler),
    ['billing'],
  )
  assert.doesNotMatch(JSON.stringify(answer), /PRIVATE/)
  const header = (name: string): string => String(request.headers[name])
  const signed = Buffer.concat([
    Buffer.from(`${header('webhook-id')}.${header('webhook-timestamp')}.`),
    request.body,
  ])
  const signature = Buffer.from(header('webhook-signature').replace(/^v1a,/, ''), 'base64')
  assert.ok(verify(null, signed, createPublicKey(answer.items[0]?.pem ?? ''), signature))
})
