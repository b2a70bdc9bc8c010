/**
 * Each process alone, several of each, against one Postgres and one archive folder. Goal: the same trail as on one box,
 * with nobody doing work twice. Method: two ingress, two dispatchers, two archivers and one api as real processes; one
 * ingress, dispatcher and archiver are killed on the way.
 */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { archivedRows } from '../support/archive-reader.ts'
import { eventually, runCli } from '../support/installation.ts'
import { createTestDatabase } from '../support/postgres.ts'
import { startReceiver } from '../support/receiver.ts'
import { scale } from '../support/scale.ts'
import { startSingleProcess, type SingleProcess } from '../support/single-process.ts'
import { checkTrail } from '../support/trail-check.ts'

const SECRET = 'a-secret-for-many-processes'
const TOKEN = 'a-token-for-many-processes-0123456789'

const folder = mkdtempSync(join(tmpdir(), 'hooktrail-many-'))
const children: ChildProcess[] = []
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const home = join(folder, 'home')
mkdirSync(home, { mode: 0o700 })

async function startProcess(kind: string, database: string, receiverUrl: string): Promise<SingleProcess> {
  const running = await startSingleProcess({
    kind,
    folder,
    home,
    config: `
digest_key: '${'0123456789abcdef'.repeat(4)}'
api: { auth_token: '${TOKEN}' }
database: { url: '${database}' }
archive: { driver: directory, directory: '${join(folder, 'archive')}', roll: { age: 1s }, heartbeat: 1s }
delivery: { timeout: 2s }
sources: { github: { verify: github, secrets: ['${SECRET}'] } }
handlers: { one: { source: github, url: '${receiverUrl}/one', allow_private: true } }
`,
  })
  children.push(running.child)
  return running
}

/** Sends `count` events over the given addresses; a refused or broken one is sent again elsewhere, as senders do. */
async function send(urls: readonly string[], count: number, name: string): Promise<readonly string[]> {
  const body = '{"zen":"Keep it logically awesome."}'
  const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`
  const acked: string[] = []
  for (let n = 0; n < count; n++) {
    const headers = {
      'x-hub-signature-256': signature,
      'x-github-event': 'ping',
      'x-github-delivery': `${name}-${n}`,
    }
    const eventId = await eventually('an ingress takes the event', 20_000, async () => {
      for (const url of urls) {
        const response = await fetch(`${url}/webhooks/github`, { method: 'POST', body, headers }).catch(
          () => null,
        )
        if (response?.status === 200) return ((await response.json()) as { event_id: string }).event_id
      }
      return null
    })
    acked.push(eventId)
  }
  return acked
}

test('two of each process share one trail, and killing one of each loses and repeats nothing', async () => {
  await using database = await createTestDatabase()
  await using receiver = await startReceiver()
  const start = (kind: string): Promise<SingleProcess> => startProcess(kind, database.url, receiver.url)
  const ingress = [await start('ingress'), await start('ingress')]
  const dispatchers = [await start('dispatcher'), await start('dispatcher')]
  const archivers = [await start('archiver'), await start('archiver')]
  const api = await start('api')
  const urls = ingress.map(({ url }) => url)

  const acked = [...(await send(urls, scale.processEvents / 2, 'before'))]
  for (const [one] of [ingress, dispatchers, archivers]) one?.child.kill('SIGKILL')
  acked.push(...(await send([...urls].reverse(), scale.processEvents / 2, 'after')))

  await eventually('all events are delivered', 60_000, () => {
    const seen = new Set(receiver.requests.map(({ headers }) => String(headers['webhook-id']).split('.')[0]))
    return Promise.resolve(acked.every((id) => seen.has(id)) ? true : null)
  })
  const env = { ...process.env, HOOKTRAIL_HOME: home, HOOKTRAIL_TOKEN: TOKEN }
  let report = ''
  await eventually('the report adds up', 60_000, async () => {
    const { code, stdout, stderr } = await runCli(['report', '--url', api.url], env)
    report = stdout + stderr
    return code === 0 ? true : null
  }).catch((error: unknown) => {
    throw new Error(report, { cause: error })
  })

  const archive = join(folder, 'archive')
  // A killed archiver's leases have to run out first.
  await eventually('all events are archived', 60_000, () => {
    if (!existsSync(join(archive, 'data'))) return Promise.resolve(null)
    const archived = new Set(archivedRows(archive).map(({ eventId }) => eventId))
    return Promise.resolve(acked.every((id) => archived.has(id)) ? true : null)
  })
  for (const running of [ingress[1], dispatchers[1], archivers[1], api]) {
    running?.child.kill('SIGTERM')
    await running?.exited
    assert.equal(running?.child.exitCode, 0)
  }
  const received = receiver.requests.map(({ headers }) => String(headers['webhook-id']))
  assert.deepEqual(checkTrail({ acked, received, rows: archivedRows(archive) }), [])
  const verified = await runCli(
    ['archive', 'verify', archive, '--key', join(home, 'keys', 'archive.pub')],
    env,
  )
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
})
