/**
 * A start while the bucket of the archive is away or hangs: events are taken and delivered, and archived when it is back;
 * a stop meanwhile does not wait for it.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openArchiveBucket } from '../support/archive-bucket.ts'
import { sendPing } from '../support/deliveries.ts'
import { eventually, freePort, startInstallation, type Installation } from '../support/installation.ts'
import { stopSoon } from '../support/outage.ts'
import { startReceiver } from '../support/receiver.ts'
import { orSkip } from '../support/services/local-process.ts'
import { startOrReason } from '../support/services/s3-service.ts'

const SECRET = 'a-secret-for-the-bucket-test'

for (const [what, signal] of [
  ['comes later', 'SIGKILL'],
  ['hangs', 'SIGSTOP'],
] as const)
  test(`a bucket that ${what} is waited for by the archiver alone`, (t) => withoutBucket(t, signal))

async function withoutBucket(t: TestContext, signal: 'SIGKILL' | 'SIGSTOP'): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-bucket-'))
  opened.defer(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const open = startOrReason(() => openArchiveBucket(join(folder, 's3'), 'roll: { age: 1s }, heartbeat: 1s'))
  const bucket = opened.use(await orSkip(t, open))
  if (bucket === null) return
  const { s3 } = bucket
  await s3.kill(signal)
  const receiver = opened.use(await startReceiver())
  const port = await freePort()
  const start = (): Promise<Installation> =>
    startInstallation({
      folder,
      port,
      config: `
${bucket.config}
sources: { github: { verify: github, secrets: ['${SECRET}'] } }
handlers: { one: { source: github, url: '${receiver.url}/one', allow_private: true } }
`,
    })
  const first = opened.use(await start())
  const body = '{"zen":"Half measures are as bad as nothing at all."}'
  const eventId = await sendPing(first.url, { secret: SECRET, body, delivery: '1' })
  await eventually('the event is delivered', 20_000, () =>
    Promise.resolve(receiver.requests.length > 0 ? true : null),
  )
  const health = JSON.stringify(await first.api('/health'))
  assert.match(health, /"archive":"(waiting|unknown)"/)
  assert.match(health, /"waiting_for":"the archive/)

  assert.equal(await stopSoon(first), 0, first.output())
  const trail = opened.use(await start())
  await (signal === 'SIGSTOP' ? s3.kill('SIGCONT') : s3.restart())
  await eventually('the event is archived', 60_000, () => {
    return Promise.resolve(bucket.rows().some((row) => row.eventId === eventId) ? true : null)
  })
  assert.equal(await trail.stop(), 0, trail.output())
}
