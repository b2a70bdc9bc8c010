/** Names that do not resolve are the handler's trouble alone: a class in the attempt, never the end of the process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createSender } from '../../adapters/http/send.ts'
import { systemClock } from '../../adapters/system/clock.ts'

test('a host that does not resolve is an outcome of class dns', async () => {
  const sender = createSender({
    url: 'http://nobody.invalid/',
    method: 'POST',
    timeoutMs: 10_000,
    connectionsMax: 1,
    tls: null,
    allowPrivate: false,
    bytesKept: { ok: 0, failed: 0 },
    monotonic: () => systemClock.monotonic(),
  })
  const result = await sender.send({ headers: {}, body: Buffer.from('{}') })
  assert.equal(result.kind === 'failed' && result.errorClass, 'dns')
  await sender.close()
})
