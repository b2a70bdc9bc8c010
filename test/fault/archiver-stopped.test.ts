/**
 * Two real archivers on one database and one archive. Goal: one that is stopped (SIGSTOP) for longer than its lease, and
 * goes on while the other has taken over, repeats and loses nothing; an archive that is moved away and back is waited for
 * and named by /health. Method: real processes and signals; the archive is read without product code, then verified.
 */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { archivedRows } from '../support/archive-reader.ts'
import { eventually, runCli } from '../support/installation.ts'
import { createMigratedDatabase } from '../support/postgres.ts'
import { startSingleProcess, type SingleProcess } from '../support/single-process.ts'

const SECRET = 'a-secret-for-stopped-archivers'
/** Lease and start together take less than half of it. */
const TAKE_OVER_MS_MAX = 60_000

const folder = mkdtempSync(join(tmpdir(), 'hooktrail-stopped-'))
const archive = join(folder, 'archive')
const home = join(folder, 'home')
mkdirSync(home, { mode: 0o700 })
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

async function start(kind: string, database: string): Promise<SingleProcess> {
  const running = await startSingleProcess({
    kind,
    folder,
    home,
    config: `
digest_key: '${'0123456789abcdef'.repeat(4)}'
database: { url: '${database}' }
archive: { driver: directory, directory: '${archive}', roll: { age: 2s }, heartbeat: 1s }
sources: { github: { verify: github, secrets: ['${SECRET}'] } }
`,
  })
  children.push(running.child)
  return running
}

let sequence = 0

async function send(url: string, count: number): Promise<readonly string[]> {
  const body = '{"zen":"Favor focus over features."}'
  const acked: string[] = []
  for (let n = 0; n < count; n++) {
    const headers = {
      'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
      'x-github-event': 'ping',
      'x-github-delivery': `stopped-${String(sequence++)}`,
    }
    const response = await fetch(`${url}/webhooks/github`, { method: 'POST', body, headers })
    assert.equal(response.status, 200)
    acked.push(((await response.json()) as { event_id: string }).event_id)
  }
  return acked
}

function archivedIds(): readonly (string | null)[] {
  return archivedRows(archive)
    .filter(({ topic }) => topic.includes('.events.'))
    .map(({ eventId }) => eventId)
}

async function allArchived(acked: readonly string[]): Promise<void> {
  await eventually('all events are archived', TAKE_OVER_MS_MAX, () => {
    const archived = new Set(existsSync(join(archive, 'data')) ? archivedIds() : [])
    return Promise.resolve(acked.every((id) => archived.has(id)) ? true : null)
  })
}

async function stop({ child, exited }: SingleProcess): Promise<void> {
  child.kill('SIGTERM')
  await exited
  assert.equal(child.exitCode, 0)
}

test('an archiver that sleeps beyond its lease, and an archive that is away for a while, lose and repeat nothing', async () => {
  await using database = await createMigratedDatabase()
  const ingress = await start('ingress', database.url)
  const sleeper = await start('archiver', database.url)
  const acked = [...(await send(ingress.url, 20))]
  await allArchived(acked)
  acked.push(...(await send(ingress.url, 20)))
  sleeper.child.kill('SIGSTOP')
  const other = await start('archiver', database.url)
  await allArchived(acked)
  acked.push(...(await send(ingress.url, 20)))
  sleeper.child.kill('SIGCONT')
  await allArchived(acked)

  renameSync(archive, `${archive}-away`)
  mkdirSync(archive, { mode: 0o700 })
  acked.push(...(await send(ingress.url, 20)))
  await eventually('/health says that the archive is away', TAKE_OVER_MS_MAX, async () => {
    const texts = await Promise.all(
      [sleeper, other].map(async ({ url }) => (await fetch(`${url}/health`)).text()),
    )
    return texts.some((text) => text.includes('another archive, or none')) ? true : null
  })
  rmSync(archive, { recursive: true })
  renameSync(`${archive}-away`, archive)
  await allArchived(acked)

  for (const running of [ingress, other, sleeper]) await stop(running)
  assert.deepEqual(archivedIds().toSorted(), acked.toSorted())
  const verified = await runCli(['archive', 'verify', archive, '--key', join(home, 'keys', 'archive.pub')], {
    ...process.env,
    HOOKTRAIL_HOME: home,
  })
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
})
