/**
 * Kill -9 at random points, while events are sent, on each size. Goal: nothing that was acknowledged is lost, planned
 * twice or sent twice without a visible reason. Method: rounds in one folder; each round starts the installation, sends
 * from several connections, and kills either the whole process group or only one of its servers at a random moment. At
 * the end the installation settles by itself, is stopped, and test/support/trail-check.ts compares the sender's file, the
 * receiver's file and the archive's data files. The same check is then shown to fail on damaged copies.
 */
import assert from 'node:assert/strict'
import { createHmac, randomInt } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { eventually, freePort, startInstallation, type Installation } from '../support/installation.ts'
import { startReceiver } from '../support/receiver.ts'
import { scale } from '../support/scale.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { openSize, type Size, type SizeName } from '../support/sizes.ts'
import { checkTrail, type Trail } from '../support/trail-check.ts'

const SECRET = 'a-secret-for-the-kill-test'
const CONNECTIONS = 16
const SETTLE_MS_MAX = 120_000

interface Rounds {
  readonly size: Size
  readonly folder: string
  /** One event id a line. */
  readonly ackFile: string
  /** `<event id>.<handler>` and more, one request a line. */
  readonly receivedFile: string
}

function config(receiverUrl: string, size: Size): string {
  return `
${size.config}
delivery: { timeout: 2s, default_retry: { max: 50, backoff: [100ms, 200ms, 500ms] } }
sources:
  github: { verify: github, secrets: ['${SECRET}'] }
handlers:
  one: { source: github, url: '${receiverUrl}/one', allow_private: true }
`
}

let sequence = 0

/** Sends until told to stop; a 2xx is written to the ack file, everything else is sent again by nobody. */
async function send(trail: Installation, ackFile: string, signal: AbortSignal): Promise<number> {
  let acked = 0
  const body = JSON.stringify({ zen: 'Anything added dilutes everything else.', pad: 'x'.repeat(600) })
  const signature = `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`
  const one = async (): Promise<void> => {
    for (let n = 0; n < scale.killEventsPerRound / CONNECTIONS && !signal.aborted; n++) {
      const response = await fetch(`${trail.url}/webhooks/github`, {
        method: 'POST',
        body,
        signal,
        headers: {
          'x-hub-signature-256': signature,
          'x-github-event': 'ping',
          'x-github-delivery': `delivery-${sequence++}`,
        },
      }).catch(() => null)
      if (response?.status !== 200) continue
      const answer = await response.json().catch(() => null)
      if (answer === null) continue
      appendFileSync(ackFile, `${(answer as { event_id: string }).event_id}\n`)
      acked++
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, one))
  return acked
}

/** The job id, when the value is the record of a successful attempt. */
function successOf(value: string | null): readonly string[] {
  if (value?.includes('"kind":"attempt"') !== true && value?.includes('"kind": "attempt"') !== true) return []
  const row = JSON.parse(value) as Record<string, unknown>
  return row['error'] === null && typeof row['job_id'] === 'string' ? [row['job_id']] : []
}

function lines(file: string): readonly string[] {
  return readFileSync(file, 'utf8').trim().split('\n')
}

async function withKills(context: TestContext, rounds: Rounds): Promise<void> {
  const { size, folder, ackFile, receivedFile } = rounds
  const seed = Number(process.env['HOOKTRAIL_TEST_SEED'] ?? randomInt(2 ** 31))
  context.diagnostic(`seed ${seed}`)
  await using receiver = await startReceiver({ file: receivedFile, keepBodies: false })
  const port = await freePort()
  const start = (): Promise<Installation> =>
    startInstallation({ folder, port, config: config(receiver.url, size), env: size.env })

  const random = seededRandom(seed)
  for (let round = 0; round < scale.killRounds; round++) await oneRound(await start(), rounds, random)

  const trail = await start()
  await settled(trail, rounds)
  assert.equal(await trail.stop(), 0, trail.output())
  const found: Trail = {
    acked: lines(ackFile),
    received: lines(receivedFile).flatMap((line) => line.split(' ')[0] ?? []),
    rows: size.rows(trail.home),
  }
  context.diagnostic(
    `${found.acked.length} acknowledged, ${found.received.length} requests, ${found.rows.length} rows archived`,
  )
  assert.deepEqual(checkTrail(found), [])
  const key = join(trail.home, 'keys', 'archive.pub')
  const verified = await trail.cli('archive', 'verify', size.archive(trail.home), '--key', key)
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
  assertCheckNotices(found)
}

async function oneRound(trail: Installation, { size, ackFile }: Rounds, random: () => number): Promise<void> {
  const stop = new AbortController()
  const sending = send(trail, ackFile, stop.signal)
  await Promise.race([sending, delay(50 + random() * 1500)])
  if (random() < 0.5) {
    await trail.killGroup()
    stop.abort()
  } else {
    await size.killServer(trail.home, random())
    await eventually('an event is acknowledged again after the server was killed', 30_000, async () =>
      (await send(trail, ackFile, AbortSignal.timeout(2000))) > 0 ? true : null,
    ).catch((error: unknown) => {
      throw new Error(trail.output(), { cause: error })
    })
    stop.abort()
    await (random() < 0.5 ? trail.killGroup() : trail.stop())
  }
  await sending
}

/** Delivered, accounted for and archived, all by itself. */
async function settled(trail: Installation, { size, ackFile, receivedFile }: Rounds): Promise<void> {
  await eventually('all events are delivered', SETTLE_MS_MAX, () => {
    const received = new Set(lines(receivedFile).map((line) => line.split('.')[0]))
    return Promise.resolve(lines(ackFile).every((id) => received.has(id)) ? true : null)
  })
  await eventually('the report adds up', SETTLE_MS_MAX, async () => {
    const { code } = await trail.cli('report', '--url', trail.url)
    return code === 0 ? true : null
  })
  // Leases of the killed run out first; then the archive catches up while everything else is quiet.
  await eventually('the archive holds every event and its successful attempt', SETTLE_MS_MAX, () => {
    const succeeded = new Set(size.rows(trail.home).flatMap(({ value }) => successOf(value)))
    return Promise.resolve(lines(ackFile).every((id) => succeeded.has(`${id}.one`)) ? true : null)
  })
}

for (const name of ['one box', 'Postgres and S3', 'full'] as const satisfies readonly SizeName[])
  test(`after kill -9 at random points every acknowledged event is archived, planned once and delivered: ${name}`, async (context) => {
    await using opened = new AsyncDisposableStack()
    const size = await openSize(name)
    if (typeof size === 'string') {
      context.skip(size)
      return
    }
    opened.use(size)
    const folder = mkdtempSync(join(tmpdir(), 'hooktrail-kill-'))
    opened.defer(() => {
      rmSync(folder, { recursive: true, force: true })
    })
    const files = { ackFile: join(folder, 'acked'), receivedFile: join(folder, 'received') }
    await withKills(context, { size, folder, ...files })
  })

/** A check that cannot fail shows nothing: damaged copies of the same trail must be named. */
function assertCheckNotices(trail: Trail): void {
  const at = trail.rows.findIndex(
    (row, index) =>
      index > 0 && row.topic.includes('.events.') && trail.rows[index + 1]?.partition === row.partition,
  )
  const row = trail.rows[at]
  const next = trail.rows[at + 1]
  assert.ok(row && next)
  const damaged = {
    removed: trail.rows.toSpliced(at, 1),
    doubled: trail.rows.toSpliced(at, 0, row),
    swapped: trail.rows.toSpliced(at, 2, next, row),
  }
  for (const [kind, rows] of Object.entries(damaged))
    assert.notDeepEqual(checkTrail({ ...trail, rows }), [], kind)
}
