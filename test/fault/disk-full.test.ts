/**
 * A full disk under the log and the job store (own Postgres), and under the archive. Goal: a clear refusal, nothing
 * that was acknowledged is lost, and everything goes on by itself when space returns. Method: the home, or only the
 * archive, lies on a small tmpfs that is filled with a ballast file; needs root to mount, and says so where it is not.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { archivedRows } from '../support/archive-reader.ts'
import { eventually, freePort, startInstallation, type Installation } from '../support/installation.ts'
import { startReceiver } from '../support/receiver.ts'

const SECRET = 'a-secret-for-the-full-disk'
const canMount = process.getuid?.() === 0

interface SmallDisk extends Disposable {
  readonly path: string
  fill(): void
  free(): void
}

function mountSmallDisk(path: string, sizeMiB: number): SmallDisk {
  mkdirSync(path, { mode: 0o700 })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeMiB}m,mode=0700`, 'tmpfs', path])
  const ballast = join(path, 'ballast')
  return {
    path,
    fill: () => {
      writeFileSync(ballast, '')
      // Block by block until there is no more, as others write at the same time.
      for (let blockBytes = 1024 * 1024; blockBytes >= 4096; blockBytes /= 2) {
        while (hasRoomFor(ballast, blockBytes));
      }
    },
    free: () => {
      rmSync(ballast, { force: true })
    },
    [Symbol.dispose]: () => {
      execFileSync('umount', ['-l', path])
    },
  }
}

function config(receiverUrl: string, archive: string | null): string {
  return `
archive: { roll: { age: 500ms }, heartbeat: 500ms${archive === null ? '' : `, directory: ${archive}`} }
log: { disk: { alarm: 98%, shed: 99% } }
sources:
  github: { verify: github, secrets: ['${SECRET}'] }
handlers:
  one: { source: github, url: '${receiverUrl}', allow_private: true }
`
}

function hasRoomFor(file: string, bytes: number): boolean {
  try {
    appendFileSync(file, Buffer.alloc(bytes))
    return true
  } catch (error) {
    assert.equal(error instanceof Error && 'code' in error && error.code, 'ENOSPC')
    return false
  }
}

let sequence = 0

/** Status and event id of one POST of about 100 KB. */
async function post(
  trail: Installation,
): Promise<{ status: number; eventId: string | null; retryAfter: string | null }> {
  const body = JSON.stringify({ pad: 'x'.repeat(100_000) })
  const response = await fetch(`${trail.url}/webhooks/github`, {
    method: 'POST',
    body,
    headers: {
      'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
      'x-github-event': 'push',
      'x-github-delivery': `full-${sequence++}`,
    },
  })
  const answer = (await response.json()) as { event_id?: string }
  return {
    status: response.status,
    eventId: answer.event_id ?? null,
    retryAfter: response.headers.get('retry-after'),
  }
}

async function allArchived(acked: readonly string[], archive: string): Promise<void> {
  await eventually('all are archived', 60_000, () => {
    const archived = new Set(archivedRows(archive).map(({ eventId }) => eventId))
    return Promise.resolve(acked.every((id) => archived.has(id)) ? true : null)
  })
}

function skipWithoutMount(context: TestContext): boolean {
  if (!canMount) context.diagnostic('not run here: mounting a tmpfs needs root')
  return !canMount
}

test('when the disk of log and store is full nothing is acknowledged, and all goes on when space returns', async (context) => {
  if (skipWithoutMount(context)) return
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-full-'))
  using disk = mountSmallDisk(join(folder, 'home'), 400)
  await using receiver = await startReceiver()
  await using trail = await startInstallation({
    folder,
    port: await freePort(),
    config: config(receiver.url, null),
  })
  const acked: string[] = []
  const first = await post(trail)
  assert.equal(first.status, 200)
  acked.push(first.eventId ?? '')

  disk.fill()
  const refused = await eventually('an event is refused', 60_000, async () => {
    const answer = await post(trail)
    if (answer.status === 200) acked.push(answer.eventId ?? '')
    return answer.status === 200 ? null : answer
  })
  assert.equal(refused.status, 503)
  assert.ok(refused.retryAfter !== null)
  disk.free()
  await eventually('events are acknowledged again', 60_000, async () => {
    const answer = await post(trail)
    if (answer.status === 200) acked.push(answer.eventId ?? '')
    return answer.status === 200 ? true : null
  })
  await eventually('all are delivered', 60_000, () => {
    const seen = new Set(receiver.requests.map(({ headers }) => String(headers['webhook-id']).split('.')[0]))
    return Promise.resolve(acked.every((id) => seen.has(id)) ? true : null)
  })
  await allArchived(acked, join(trail.home, 'archive'))
  assert.equal(await trail.stop(), 0, trail.output())
})

test('when the archive is full events are still acknowledged and delivered, and archived when space returns', async (context) => {
  if (skipWithoutMount(context)) return
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-full-'))
  using disk = mountSmallDisk(join(folder, 'archive-disk'), 24)
  const archive = join(disk.path, 'archive')
  await using receiver = await startReceiver()
  await using trail = await startInstallation({
    folder,
    port: await freePort(),
    config: config(receiver.url, archive),
  })
  await eventually('the archive has begun', 30_000, () => Promise.resolve(existsSync(archive) ? true : null))
  disk.fill()
  const acked: string[] = []
  for (let n = 0; n < 10; n++) {
    const { status, eventId } = await post(trail)
    assert.equal(status, 200)
    acked.push(eventId ?? '')
  }
  await receiver.arrived(10)
  disk.free()
  await allArchived(acked, archive)
  assert.equal(await trail.stop(), 0, trail.output())
  const verified = await trail.cli(
    'archive',
    'verify',
    archive,
    '--key',
    join(trail.home, 'keys', 'archive.pub'),
  )
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
})
