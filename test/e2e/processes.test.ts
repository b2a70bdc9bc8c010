/**
 * Each process alone, several of each, on both sizes that can be shared. Goal: the same trail as on one box,
 * with nobody doing work twice. Method: two ingress, two dispatchers, two archivers and one api as real processes; one
 * ingress, dispatcher and archiver are killed on the way.
 */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, runCli } from '../support/installation.ts'
import { startReceiver } from '../support/receiver.ts'
import { scale } from '../support/scale.ts'
import { openSize, type Size } from '../support/sizes.ts'
import { startSingleProcess, type SingleProcess } from '../support/single-process.ts'
import { checkTrail } from '../support/trail-check.ts'

const SECRET = 'a-secret-for-many-processes'
const TOKEN = 'a-token-for-many-processes-0123456789'

interface Place {
  readonly size: Size
  readonly folder: string
  readonly home: string
  readonly receiverUrl: string
  readonly children: ChildProcess[]
}

async function startProcess(
  kind: string,
  { size, folder, home, receiverUrl, children }: Place,
): Promise<SingleProcess> {
  const running = await startSingleProcess({
    kind,
    folder,
    home,
    config: `
${size.config}
api: { auth_token: '${TOKEN}' }
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

async function withTwoOfEach(place: Omit<Place, 'receiverUrl'>): Promise<void> {
  const { size, home } = place
  await using receiver = await startReceiver()
  const start = (kind: string): Promise<SingleProcess> =>
    startProcess(kind, { ...place, receiverUrl: receiver.url })
  const ingress = [await start('ingress'), await start('ingress')]
  const dispatchers = [await start('dispatcher'), await start('dispatcher')]
  const archivers = [await start('archiver'), await start('archiver')]
  const api = await start('api')
  const urls = ingress.map(({ url }) => url)

  const acked = [...(await send(urls, scale.processEvents / 2, 'before'))]
  for (const [one] of [ingress, dispatchers, archivers]) one?.child.kill('SIGKILL')
  acked.push(...(await send([...urls].reverse(), scale.processEvents / 2, 'after')))

  // Hints that a killed dispatcher held are pumped again after a minute (core/ports/pump-store.ts).
  await eventually('all events are delivered', 120_000, () => {
    const seen = new Set(receiver.requests.map(({ headers }) => String(headers['webhook-id']).split('.')[0]))
    return Promise.resolve(acked.every((id) => seen.has(id)) ? true : null)
  })
  const env = { ...process.env, ...size.env, HOOKTRAIL_HOME: home, HOOKTRAIL_TOKEN: TOKEN }
  await addsUp(api.url, env)
  // A killed archiver's leases have to run out first.
  await eventually('all events are archived', 60_000, () => {
    const archived = new Set(size.rows(home).map(({ eventId }) => eventId))
    return Promise.resolve(acked.every((id) => archived.has(id)) ? true : null)
  })
  for (const running of [ingress[1], dispatchers[1], archivers[1], api]) {
    running?.child.kill('SIGTERM')
    await running?.exited
    assert.equal(running?.child.exitCode, 0)
  }
  const received = receiver.requests.map(({ headers }) => String(headers['webhook-id']))
  assert.deepEqual(checkTrail({ acked, received, rows: size.rows(home) }), [])
  const key = join(home, 'keys', 'archive.pub')
  const verified = await runCli(['archive', 'verify', size.archive(home), '--key', key], env)
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
}

async function addsUp(url: string, env: NodeJS.ProcessEnv): Promise<void> {
  let report = ''
  await eventually('the report adds up', 60_000, async () => {
    const { code, stdout, stderr } = await runCli(['report', '--url', url], env)
    report = stdout + stderr
    return code === 0 ? true : null
  }).catch((error: unknown) => {
    throw new Error(report, { cause: error })
  })
}

for (const name of ['Postgres and S3', 'full'] as const)
  test(`two of each process share one trail, and killing one of each loses and repeats nothing: ${name}`, async (t) => {
    await using opened = new AsyncDisposableStack()
    const size = await openSize(name)
    if (typeof size === 'string') {
      t.skip(size)
      return
    }
    opened.use(size)
    const folder = mkdtempSync(join(tmpdir(), 'hooktrail-many-'))
    const home = join(folder, 'home')
    mkdirSync(home, { mode: 0o700 })
    const children: ChildProcess[] = []
    opened.defer(() => {
      for (const child of children) child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    })
    await withTwoOfEach({ size, folder, home, children })
  })
