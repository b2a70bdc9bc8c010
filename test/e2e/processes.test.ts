/**
 * Each process alone, several of each, on both sizes that can be shared. Goal: the same trail as on one box, with
 * nobody doing work twice. Method: three ingress, three dispatchers (two of one pool, one of another), two archivers and
 * one api as real processes; while events come, one ingress, dispatcher and archiver are killed and one of each is added.
 */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { deliveredJobs } from '../support/archive-reader.ts'
import { untilReportAddsUp } from '../support/deliveries.ts'
import { eventually, runCli } from '../support/installation.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { scale } from '../support/scale.ts'
import { freePorts, orSkip } from '../support/services/local-process.ts'
import { openSize, type Size } from '../support/sizes.ts'
import { startSingleProcess, type SingleProcess } from '../support/single-process.ts'
import { checkTrail } from '../support/trail-check.ts'

const SECRET = 'a-secret-for-many-processes'
const TOKEN = 'a-token-for-many-processes-0123456789'
const SENDERS = 64
const ACK_MS_MAX = 30_000
/** Leases of a killed dispatcher last 32 s, hints that it held are pumped again after a minute. */
const SETTLE_MS_MAX = 120_000 + scale.processEvents * 40
const TEST_MS_MAX = 2 * SETTLE_MS_MAX
const PROCESSES_MAX = 12
const HEAVY = ['--pool', 'heavy']

interface Place {
  readonly size: Size
  readonly folder: string
  readonly home: string
  readonly receiver: Receiver
  readonly children: ChildProcess[]
  /** Free ones, as many as processes are started in all. */
  readonly ports: number[]
}

interface Processes {
  readonly ingress: SingleProcess[]
  readonly dispatchers: SingleProcess[]
  readonly archivers: SingleProcess[]
  readonly api: SingleProcess
}

async function startProcess(
  { size, folder, home, receiver: { url }, children, ports }: Place,
  kind: string,
  flags: readonly string[] = [],
): Promise<SingleProcess> {
  const config = `
${size.config}
api: { auth_token: '${TOKEN}' }
delivery: { timeout: 2s }
sources: { github: { verify: github, secrets: ['${SECRET}'] } }
handlers:
  one: { source: github, url: '${url}/one', allow_private: true }
  two: { source: github, url: '${url}/two', allow_private: true, pool: heavy }
`
  const port = ports.pop()
  assert.ok(port !== undefined)
  const running = await startSingleProcess({ kind, flags, port, folder, home, config })
  children.push(running.child)
  return running
}

/** All at once: whoever comes first makes schema, topics and archive. */
async function startProcesses(place: Place): Promise<Processes> {
  const start = (kind: string, flags?: readonly string[]): Promise<SingleProcess> =>
    startProcess(place, kind, flags)
  const [ingress, dispatchers, archivers, api] = await Promise.all([
    Promise.all([start('ingress'), start('ingress'), start('ingress')]),
    Promise.all([start('dispatcher', HEAVY), start('dispatcher'), start('dispatcher')]),
    Promise.all([start('archiver'), start('archiver')]),
    start('api'),
  ])
  return { ingress, dispatchers, archivers, api }
}

/** Sends events over whatever ingress there is; a refused or broken one is sent again, as a new one. */
class Senders {
  readonly acked: string[] = []
  readonly done: Promise<unknown>
  readonly #ingress: readonly SingleProcess[]
  #sent = 0

  constructor(ingress: readonly SingleProcess[], count: number) {
    this.#ingress = ingress
    const one = async (): Promise<void> => {
      while (this.acked.length + SENDERS <= count) await this.#sendOne()
    }
    this.done = Promise.all(Array.from({ length: SENDERS }, one))
    // Whoever awaits it sees the reason, but only later.
    this.done.catch(() => undefined)
  }

  async until(count: number): Promise<void> {
    await eventually(`${count} events are acknowledged`, SETTLE_MS_MAX, () =>
      Promise.resolve(this.acked.length >= count ? true : null),
    )
  }

  async #sendOne(): Promise<void> {
    const eventId = await eventually('an ingress takes the event', ACK_MS_MAX, async () => {
      const n = this.#sent++
      const body = JSON.stringify({ n })
      const headers = {
        'x-hub-signature-256': `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`,
        'x-github-event': 'ping',
        'x-github-delivery': `delivery-${n}`,
      }
      const url = this.#ingress[n % this.#ingress.length]?.url ?? ''
      const response = await fetch(`${url}/webhooks/github`, { method: 'POST', body, headers }).catch(
        () => null,
      )
      if (response?.status !== 200) return null
      const answer = (await response.json().catch(() => null)) as { event_id: string } | null
      return answer?.event_id ?? null
    })
    this.acked.push(eventId)
  }
}

/** The dispatcher that is killed is the only one of its pool; the new one has its handler to itself. */
async function killAndAdd(place: Place, { ingress, dispatchers, archivers }: Processes): Promise<void> {
  for (const running of [ingress, dispatchers, archivers]) running[0]?.child.kill('SIGKILL')
  const [one, two, three] = await Promise.all([
    startProcess(place, 'ingress'),
    startProcess(place, 'dispatcher', HEAVY),
    startProcess(place, 'archiver'),
  ])
  ingress.push(one)
  dispatchers.push(two)
  archivers.push(three)
}

/** Every job that there has to be: each event for each handler. */
function jobsOf(acked: readonly string[]): readonly string[] {
  return acked.flatMap((id) => [`${id}.one`, `${id}.two`])
}

async function allDelivered({ requests }: Receiver, jobs: readonly string[]): Promise<void> {
  const waiting = new Set(jobs)
  let seen = 0
  await eventually('each event is delivered to each handler', SETTLE_MS_MAX, () => {
    for (; seen < requests.length; seen++) waiting.delete(String(requests[seen]?.headers['webhook-id']))
    return Promise.resolve(waiting.size === 0 ? true : null)
  })
}

/** A killed archiver's leases have to run out first. */
async function allArchived({ size, home }: Place, jobs: readonly string[]): Promise<void> {
  await eventually('each successful attempt is archived', SETTLE_MS_MAX, () => {
    const succeeded = deliveredJobs(size.rows(home))
    return Promise.resolve(jobs.every((job) => succeeded.has(job)) ? true : null)
  })
}

/** Live dispatchers of each handler, as the API tells: the killed one is forgotten, the new one known. */
async function servedByTwoAndOne(url: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { stdout } = await runCli(['handlers', 'list', '--json', '--url', url], env)
  const { items } = JSON.parse(stdout) as { items: readonly Record<string, unknown>[] }
  assert.deepEqual(
    items.map(({ handler, dispatchers, unserved_since: since }) => [handler, dispatchers, since]),
    [
      ['one', 2, null],
      ['two', 1, null],
    ],
  )
}

async function stopAll({ ingress, dispatchers, archivers, api }: Processes): Promise<void> {
  for (const running of [...ingress.slice(1), ...dispatchers.slice(1), ...archivers.slice(1), api]) {
    running.child.kill('SIGTERM')
    await running.exited
    assert.equal(running.child.exitCode, 0)
  }
}

async function shareOneTrail(context: TestContext, place: Place): Promise<void> {
  const { size, home, receiver } = place
  const startedAt = performance.now()
  const after = (what: string): void => {
    context.diagnostic(`${what} after ${Math.round((performance.now() - startedAt) / 1000)} s`)
  }
  const processes = await startProcesses(place)
  after('started')
  const senders = new Senders(processes.ingress, scale.processEvents)
  await senders.until(scale.processEvents / 3)
  after('one of each was killed')
  await killAndAdd(place, processes)
  after('one of each was added')
  await senders.done
  after('sent')

  const { acked } = senders
  const jobs = jobsOf(acked)
  await allDelivered(receiver, jobs)
  after('delivered')
  const env = { ...process.env, ...size.env, HOOKTRAIL_HOME: home, HOOKTRAIL_TOKEN: TOKEN }
  await untilReportAddsUp(() => runCli(['report', '--url', processes.api.url], env), SETTLE_MS_MAX)
  await allArchived(place, jobs)
  after('archived')
  await servedByTwoAndOne(processes.api.url, env)
  await stopAll(processes)
  after('stopped')

  const received = receiver.requests.map(({ headers }) => String(headers['webhook-id']))
  context.diagnostic(`${acked.length} acknowledged, ${received.length} requests`)
  assert.deepEqual(checkTrail({ acked, received, rows: size.rows(home) }), [])
  const key = join(home, 'keys', 'archive.pub')
  const verified = await runCli(['archive', 'verify', size.archive(home), '--key', key], env)
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
}

for (const name of ['Postgres and S3', 'full'] as const)
  test(
    `several of each process share one trail while one of each is killed and one added: ${name}`,
    { timeout: TEST_MS_MAX },
    async (context) => {
      await using opened = new AsyncDisposableStack()
      const size = opened.use(await orSkip(context, openSize(name)))
      if (size === null) return
      const folder = mkdtempSync(join(tmpdir(), 'hooktrail-many-'))
      const home = join(folder, 'home')
      mkdirSync(home, { mode: 0o700 })
      const children: ChildProcess[] = []
      opened.defer(() => {
        for (const child of children) child.kill('SIGKILL')
        rmSync(folder, { recursive: true, force: true })
      })
      const receiver = opened.use(await startReceiver({ keepBodies: false }))
      const ports = [...(await freePorts(PROCESSES_MAX))]
      await shareOneTrail(context, { size, folder, home, receiver, children, ports })
    },
  )
