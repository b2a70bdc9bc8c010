/**
 * Kill -9 at random points, while events are sent. Goal: nothing that was acknowledged is lost, planned twice or sent
 * twice without a visible reason. Method: rounds in one folder; each round starts the installation, sends from several
 * connections, and kills either the whole process group or only the database at a random moment. At the end the
 * installation settles by itself, is stopped, and test/support/trail-check.ts compares the sender's file, the
 * receiver's file and the archive's data files. The same check is then shown to fail on damaged copies.
 */
import assert from 'node:assert/strict'
import { createHmac, randomInt } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { archivedRows } from '../support/archive-reader.ts'
import { eventually, freePort, startInstallation, type Installation } from '../support/installation.ts'
import { startReceiver } from '../support/receiver.ts'
import { scale } from '../support/scale.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { checkTrail, type Trail } from '../support/trail-check.ts'

const SECRET = 'a-secret-for-the-kill-test'
const CONNECTIONS = 16
const SETTLE_MS_MAX = 120_000

const folder = mkdtempSync(join(tmpdir(), 'hooktrail-kill-'))
after(() => {
  rmSync(folder, { recursive: true, force: true })
})

const ackFile = join(folder, 'acked')
const receivedFile = join(folder, 'received')
let sequence = 0

function config(receiverUrl: string): string {
  return `
delivery: { timeout: 2s, default_retry: { max: 50, backoff: [100ms, 200ms, 500ms] } }
archive: { roll: { age: 1s }, heartbeat: 1s }
sources:
  github: { verify: github, secrets: ['${SECRET}'] }
handlers:
  one: { source: github, url: '${receiverUrl}/one', allow_private: true }
`
}

/** Sends until told to stop; a 2xx is written to the ack file, everything else is sent again by nobody. */
async function send(trail: Installation, signal: AbortSignal): Promise<number> {
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

test('after kill -9 at random points every acknowledged event is archived, planned once and delivered', async (context) => {
  const seed = Number(process.env['HOOKTRAIL_TEST_SEED'] ?? randomInt(2 ** 31))
  context.diagnostic(`seed ${seed}`)
  const random = seededRandom(seed)
  await using receiver = await startReceiver({ file: receivedFile, keepBodies: false })
  const port = await freePort()
  const start = (): Promise<Installation> => startInstallation({ folder, port, config: config(receiver.url) })

  for (let round = 0; round < scale.killRounds; round++) {
    const trail = await start()
    const stop = new AbortController()
    const sending = send(trail, stop.signal)
    await Promise.race([sending, delay(50 + random() * 1500)])
    if (random() < 0.5) {
      await trail.killGroup()
      stop.abort()
    } else {
      process.kill(trail.postmasterPid(), 'SIGKILL')
      await eventually('an event is acknowledged again after the database was killed', 30_000, async () =>
        (await send(trail, AbortSignal.timeout(2000))) > 0 ? true : null,
      )
      stop.abort()
      await (random() < 0.5 ? trail.killGroup() : trail.stop())
    }
    await sending
  }

  const trail = await start()
  await eventually('all events are delivered', SETTLE_MS_MAX, () => {
    const received = new Set(lines(receivedFile).map((line) => line.split('.')[0]))
    return Promise.resolve(lines(ackFile).every((id) => received.has(id)) ? true : null)
  })
  const report = await eventually('the report adds up', SETTLE_MS_MAX, async () => {
    const result = await trail.cli('report', '--url', trail.url)
    return result.code === 0 ? result : null
  })
  assert.equal(report.code, 0)
  // Leases of the killed run out first; then the archive catches up while everything else is quiet.
  await eventually('the archive holds every event and its successful attempt', SETTLE_MS_MAX, () => {
    const archived = archivedRows(join(trail.home, 'archive'))
    const succeeded = new Set(archived.flatMap(({ value }) => successOf(value)))
    return Promise.resolve(lines(ackFile).every((id) => succeeded.has(`${id}.one`)) ? true : null)
  })
  assert.equal(await trail.stop(), 0, trail.output())

  const archive = join(trail.home, 'archive')
  const found: Trail = {
    acked: lines(ackFile),
    received: lines(receivedFile).flatMap((line) => line.split(' ')[0] ?? []),
    rows: archivedRows(archive),
  }
  context.diagnostic(
    `${found.acked.length} acknowledged, ${found.received.length} requests, ${found.rows.length} rows archived`,
  )
  assert.deepEqual(checkTrail(found), [])
  const verified = await trail.cli(
    'archive',
    'verify',
    archive,
    '--key',
    join(trail.home, 'keys', 'archive.pub'),
  )
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
  assertCheckNotices(found)
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
