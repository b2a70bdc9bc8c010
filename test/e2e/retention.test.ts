/**
 * A short log.retention, a bucket that is away for longer than that, and a handler that is off for all of it. Goal: log
 * and archive are one for whoever reads, so that nothing is lost and everything arrives once. Method: a real `hooktrail
 * start` on a real bucket that is killed and comes back; what arrived is told by the receiver, what is kept by verify.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openArchiveBucket, type ArchiveBucket } from '../support/archive-bucket.ts'
import { eventIdsAt, sendPing, untilReceived, untilReportAddsUp } from '../support/deliveries.ts'
import {
  eventually,
  freePort,
  runCli,
  startInstallation,
  type Installation,
} from '../support/installation.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { orSkip } from '../support/services/local-process.ts'
import { startOrReason } from '../support/services/s3-service.ts'

const SECRET = 'a-secret-for-the-retention-test'
const RETENTION_MS = 2_000
const WAIT_MS = 60_000

interface Place {
  readonly trail: Installation
  readonly receiver: Receiver
  readonly bucket: ArchiveBucket
}

interface Sent {
  /** Its job is dead. */
  readonly first: string
  readonly all: readonly string[]
}

test('a bucket that is away and a handler that is off for longer than log.retention lose nothing and repeat nothing', async (t) => {
  await using opened = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-retention-'))
  opened.defer(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const settings = 'roll: { age: 1s, records: 10 }, heartbeat: 1s'
  const open = startOrReason(() => openArchiveBucket(join(folder, 's3'), settings))
  const bucket = opened.use(await orSkip(t, open))
  if (bucket === null) return
  const receiver = opened.use(await startReceiver())
  const options = { folder, port: await freePort(), config: configOf({ bucket, receiver }) }
  const before = opened.use(await startInstallation(options))
  const sent = await telling(before, outlast({ trail: before, receiver, bucket }))
  assert.equal(await before.stop(), 0, before.output())
  // Started anew, so that no payload is remembered: what slow has not had is in the bucket alone.
  const trail = opened.use(await startInstallation(options))
  await telling(trail, catchUp({ trail, receiver, bucket }, sent))
  assert.equal(await trail.stop(), 0, trail.output())
})

async function telling<T>(trail: Installation, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
}

async function outlast({ trail, receiver, bucket }: Place): Promise<Sent> {
  // The first answer turns the handler off.
  receiver.script('/slow', (n) => (n === 0 ? 410 : 200))
  const [first = ''] = await send(trail, 1, 'first')
  await eventually('slow is disabled', WAIT_MS, async () =>
    JSON.stringify(await trail.api('/api/handlers')).includes('"disabled"') ? true : null,
  )
  const early = await send(trail, 60, 'early')
  await received(receiver, '/quick', [first, ...early])
  await eventually('the log has forgotten all of it', WAIT_MS, async () =>
    (await eventsInLog(trail)) === 0n ? true : null,
  )
  await bucket.s3.kill('SIGKILL')
  const late = await send(trail, 40, 'late')
  await received(receiver, '/quick', late)
  const killedAt = performance.now()
  await eventually('the bucket is away for longer than log.retention', WAIT_MS, () =>
    Promise.resolve(performance.now() - killedAt > 2 * RETENTION_MS ? true : null),
  )
  return { first, all: [first, ...early, ...late] }
}

async function catchUp(place: Place, { first, all }: Sent): Promise<void> {
  const { trail, receiver, bucket } = place
  const enabled = await trail.cli('handlers', 'enable', 'slow', '--reason', 'mended', '--url', trail.url)
  assert.equal(enabled.code, 0, enabled.stderr)
  await eventually('slow waits for the bucket, and says so', WAIT_MS, async () =>
    JSON.stringify(await trail.api('/health')).includes('ARCHIVE_STORE_UNAVAILABLE') ? true : null,
  )
  const meanwhile = await send(trail, 5, 'meanwhile')
  await received(receiver, '/quick', meanwhile)

  await bucket.s3.restart()
  const sent = [...all, ...meanwhile]
  await received(receiver, '/slow', sent)
  await retriesOldJob(place, first)
  for (const path of ['/quick', '/slow']) {
    const ids = eventIdsAt(receiver, path)
    const extra = path === '/slow' ? [first] : []
    assert.deepEqual(ids.toSorted(), [...sent, ...extra].toSorted(), `${path} got each event once`)
  }
  await addsUp(place)
}

/** Dead for longer than the log remembers: its payload is in the archive alone. */
async function retriesOldJob({ trail, receiver }: Place, eventId: string): Promise<void> {
  await eventually('the log has forgotten it', WAIT_MS, async () =>
    (await eventsInLog(trail)) === 0n ? true : null,
  )
  const event = (await trail.api(`/api/events/${eventId}`)) as { tier: string; payload: string }
  assert.equal(event.tier, 'archive')
  const seen = receiver.requests.length
  const retried = await trail.cli(
    'jobs',
    'retry',
    `${eventId}.slow`,
    '--reason',
    'mended',
    '--url',
    trail.url,
  )
  assert.equal(retried.code, 0, retried.stderr)
  await eventually('the old job is delivered', WAIT_MS, () =>
    Promise.resolve(receiver.requests.length > seen ? true : null),
  )
  assert.equal(receiver.requests.at(-1)?.body.toString(), event.payload)
}

async function addsUp({ trail, bucket }: Place): Promise<void> {
  await untilReportAddsUp(() => trail.cli('report', '--url', trail.url), WAIT_MS)
  const key = join(trail.home, 'keys', 'archive.pub')
  const env = { ...process.env, ...bucket.readerEnv }
  const verified = await runCli(['archive', 'verify', bucket.location, '--key', key], env)
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
}

function configOf({ bucket, receiver }: Omit<Place, 'trail'>): string {
  return `
log: { retention: ${RETENTION_MS}ms, partitions: 2 }
${bucket.config}
sources: { github: { verify: github, secrets: ['${SECRET}'] } }
handlers:
  quick: { source: github, url: '${receiver.url}/quick', allow_private: true }
  slow: { source: github, url: '${receiver.url}/slow', allow_private: true }
`
}

async function send({ url }: Installation, count: number, name: string): Promise<readonly string[]> {
  const ids: string[] = []
  for (let n = 0; n < count; n++)
    ids.push(
      await sendPing(url, { secret: SECRET, body: `{"zen":"${name} ${n}"}`, delivery: `${name}-${n}` }),
    )
  return ids
}

async function eventsInLog(trail: Installation): Promise<bigint> {
  const { partitions } = (await trail.api('/api/report')) as {
    partitions: readonly { topic: string; log_start: string; log_end: string }[]
  }
  return partitions
    .filter(({ topic }) => topic.includes('.events.'))
    .reduce((sum, row) => sum + BigInt(row.log_end) - BigInt(row.log_start), 0n)
}

function received(receiver: Receiver, path: string, ids: readonly string[]): Promise<void> {
  return untilReceived(receiver, path, { ids, msMax: WAIT_MS })
}
