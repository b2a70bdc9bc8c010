/**
 * One box moved to each larger size by `hooktrail move`. Goal: nothing is lost, repeated or forgotten over the seam, and
 * the archive is one. Method: real installations on both sides, with a handler that is turned off and far behind, one
 * that fails, a dead job and an attempt that the outbox has not told; what arrived is told by the receiver.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Client } from 'pg'
import { startOwnPostgres } from '../../adapters/postgres/own-postgres.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { deliveredJobs } from '../support/archive-reader.ts'
import { endWithTests } from '../support/child-processes.ts'
import { eventIdsAt, sendPing, untilReceived, untilReportAddsUp } from '../support/deliveries.ts'
import {
  eventually,
  freePort,
  HOOKTRAIL,
  runCli,
  startInstallation,
  type Installation,
} from '../support/installation.ts'
import { silentLogger } from '../support/postgres.ts'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { orSkip } from '../support/services/local-process.ts'
import { openSize, type Size } from '../support/sizes.ts'

const SECRET = 'a-secret-for-the-move'
const WAIT_MS = 120_000
const TEST_MS_MAX = 900_000
/** With the retries below few enough that no breaker opens: its pauses would be waited for. */
const EVENTS = 12
const HANDLERS = ['quick', 'failing', 'off'] as const
const EXIT = { unavailable: 69, config: 78 } as const

interface Place {
  readonly isOneBox: boolean
  readonly folder: string
  readonly port: number
  readonly receiver: Receiver
  readonly size: Size
  readonly files: { readonly from: string; readonly to: string }
  readonly env: NodeJS.ProcessEnv
}

/** What was sent before, and in which state it was left. */
interface Left {
  readonly ids: readonly string[]
  readonly deadId: string
  /** Its delivery was told to nobody but the store. */
  readonly untoldId: string
}

const MOVES = [
  { from: 'one box', to: 'Postgres and S3', isKilled: true },
  { from: 'one box', to: 'full', isKilled: false },
  { from: 'Postgres and S3', to: 'full', isKilled: false },
] as const

for (const { from, to, isKilled } of MOVES)
  test(`${from} goes on as ${to}, with all it had`, { timeout: TEST_MS_MAX }, async (context) => {
    await using opened = new AsyncDisposableStack()
    const size = opened.use(await orSkip(context, openSize(to)))
    if (size === null) return
    const folder = mkdtempSync(join(tmpdir(), 'hooktrail-move-'))
    opened.defer(() => {
      rmSync(folder, { recursive: true, force: true })
    })
    const receiver = opened.use(await startReceiver())
    const place = await preparePlace({ folder, receiver, size, isOneBox: from === 'one box' })
    const left = await liveBefore(place)
    if (isKilled) await refusesOtherKey(place)
    const more = isKilled ? await breaksAndTakesBack(place) : []
    await moves(place)
    if (place.isOneBox && !isKilled) await isOverWithoutLastMark(place)
    await goesOn(place, { ...left, ids: [...left.ids, ...more] })
    const { requests } = receiver
    context.diagnostic(`${requests.length} requests, ${size.rows(homeOf(place)).length} rows archived`)
  })

async function preparePlace(given: Pick<Place, 'folder' | 'receiver' | 'size' | 'isOneBox'>): Promise<Place> {
  const { folder, size } = given
  const env = { ...process.env, ...size.env, HOOKTRAIL_HOME: join(folder, 'home'), HOOKTRAIL_LOG: 'warn' }
  const files = { from: join(folder, 'old.yaml'), to: join(folder, 'new.yaml') }
  const place = { ...given, files, env, port: await freePort() }
  const head = `version: 1\nserver: { host: 127.0.0.1, port: ${place.port} }\n`
  writeFileSync(files.from, head + oldConfig(place))
  writeFileSync(files.to, head + newConfig(place))
  return place
}

function homeOf({ folder }: Pick<Place, 'folder'>): string {
  return join(folder, 'home')
}

/** On one box what is left is archived by the move itself, not before. */
function oldConfig(place: Place): string {
  if (place.isOneBox) return `archive: { roll: { age: 10m } }\n${tail(place)}`
  return `${place.size.config.replaceAll(/^(?:log|queue): .*$/gm, '')}\n${tail(place)}`
}

function newConfig(place: Place): string {
  if (!place.isOneBox) return `${place.size.config}\n${tail(place)}`
  const key = `digest_key: "\${file:${join(homeOf(place), 'keys', 'digest.key')}}"`
  return `${place.size.config.replace(/^digest_key: .*$/m, key)}\n${tail(place)}`
}

function tail({ receiver }: Place): string {
  const handlers = HANDLERS.map(
    (name) => `  ${name}: { source: github, url: '${receiver.url}/${name}', allow_private: true }`,
  )
  return `delivery: { timeout: 60s, default_retry: { max: 1000, backoff: [15s] } }
worker: { drain_timeout: 60s }
sources: { github: { verify: github, secrets: ['${SECRET}'] } }
handlers:\n${handlers.join('\n')}\n`
}

async function liveBefore(place: Place): Promise<Left> {
  const { receiver } = place
  receiver.script('/failing', () => 500)
  receiver.script('/off', (n) => (n === 0 ? 410 : 200))
  await using trail = await startOld(place)
  const [deadId = ''] = await send(trail.url, ['first'])
  await eventually('off is disabled', WAIT_MS, async () =>
    JSON.stringify(await trail.api('/api/handlers')).includes('"disabled"') ? true : null,
  )
  const ids = await send(
    trail.url,
    Array.from({ length: EVENTS }, (_, n) => `before-${n}`),
  )
  await received(receiver, 'quick', [deadId, ...ids])
  await received(receiver, 'failing', [deadId, ...ids])
  await movesNothingYet(place)
  const untoldId = await endWithUntoldAttempt(trail, receiver)
  return { ids: [deadId, ...ids, untoldId], deadId, untoldId }
}

/** While the old side runs its archive can be copied ahead, and that is all. */
async function movesNothingYet({ files, env }: Place): Promise<void> {
  const args = ['move', '--from', files.from, '--to', files.to]
  const copied = await runCli([...args, '--archive-only'], env)
  assert.equal(copied.code, 0, copied.stderr)
  const refused = await runCli(args, env)
  assert.equal(refused.code, EXIT.unavailable, refused.stderr)
  assert.match(refused.stderr, /STORE_HOME_LOCKED|MOVE_SOURCE_RUNNING/)
}

function startOld({ folder, port, size, ...place }: Place): Promise<Installation> {
  return startInstallation({
    folder,
    port,
    config: oldConfig({ folder, port, size, ...place }),
    env: size.env,
  })
}

/** The outcome is recorded when the relay has ended already. */
async function endWithUntoldAttempt(trail: Installation, receiver: Receiver): Promise<string> {
  const release = receiver.hold('/quick')
  const [id = ''] = await send(trail.url, ['untold'])
  await received(receiver, 'quick', [id])
  const stopped = trail.stop()
  await eventually('it stops', WAIT_MS, () =>
    fetch(`${trail.url}/health/ready`).then(
      ({ ok }) => (ok ? null : true),
      () => true,
    ),
  )
  release()
  assert.equal(await stopped, 0, trail.output())
  return id
}

/** The size's own digest key, as somebody would have it who makes a new one. */
async function refusesOtherKey(place: Place): Promise<void> {
  const { folder, size, env, files } = place
  const to = join(folder, 'other-key.yaml')
  writeFileSync(to, `version: 1\n${size.config}\n${tail(place)}`)
  const { code, stderr } = await runCli(['move', '--from', files.from, '--to', to], env)
  assert.equal(code, EXIT.config, stderr)
  assert.match(stderr, /MOVE_KEY_DIFFERS/)
  const described = await runCli(['move', '--from', files.from, '--to', files.to, '--dry-run'], env)
  assert.equal(described.code, 0, described.stdout + described.stderr)
  assert.match(described.stdout, /would move to Postgres/)
}

/** Broken off while it copies the store and taken back, the old side goes on, archive and all; then broken off again. */
async function breaksAndTakesBack(place: Place): Promise<readonly string[]> {
  const { files, env, size } = place
  const [, url = ''] = /^database: \{ url: '(.*)' \}$/m.exec(size.config) ?? []
  const migrated = await runCli(['store', 'migrate', '--url', url], env)
  assert.equal(migrated.code, 0, migrated.stderr)
  await killWhileItCopies(place, url)
  await refusesBothSides(place)
  const cancelled = await runCli(['move', '--from', files.from, '--to', files.to, '--cancel'], env)
  assert.equal(cancelled.code, 0, cancelled.stderr)
  await using trail = await startOld(place)
  const ids = await send(trail.url, ['taken-back'])
  await received(place.receiver, 'quick', ids)
  assert.equal(await trail.stop(), 0, trail.output())
  await killWhileItCopies(place, url)
  return ids
}

/** SIGKILL in the transaction that makes the new side whole: a lock holds it there. */
async function killWhileItCopies({ files, env }: Place, url: string): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const client = new Client(url)
  await client.connect()
  opened.defer(() => client.end())
  await client.query('BEGIN; LOCK TABLE hooktrail.relay_positions IN ACCESS EXCLUSIVE MODE')
  const child = spawn(HOOKTRAIL, ['move', '--from', files.from, '--to', files.to], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    detached: true,
  })
  endWithTests(child)
  let told = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      told += chunk.toString()
    })
  const closed = once(child, 'close')
  await eventually('it copies the store', WAIT_MS, () => {
    assert.equal(child.exitCode, null, told)
    return Promise.resolve(told.includes('copying the store') ? true : null)
  })
  process.kill(-(child.pid ?? 0), 'SIGKILL')
  await closed
}

async function refusesBothSides({ files, env }: Place): Promise<void> {
  for (const file of [files.from, files.to]) {
    const { code, stderr } = await runCli(['start', '-c', file], env)
    assert.equal(code, EXIT.unavailable, stderr)
    assert.match(stderr, /STORE_MOVE_UNFINISHED/)
  }
}

async function moves(place: Place): Promise<void> {
  const { files, env } = place
  const moved = await runCli(['move', '--from', files.from, '--to', files.to], env)
  assert.equal(moved.code, 0, moved.stdout + moved.stderr)
  await refusesOld(place, 'STORE_MOVED')
  await movedAlready(place)
}

async function refusesOld({ files, env }: Place, error: string): Promise<void> {
  const old = await runCli(['start', '-c', files.from], env)
  assert.equal(old.code, EXIT.unavailable, old.stderr)
  assert.ok(old.stderr.includes(error), old.stderr)
}

async function movedAlready({ files, env }: Place): Promise<void> {
  const again = await runCli(['move', '--from', files.from, '--to', files.to], env)
  assert.equal(again.code, 0, again.stderr)
  assert.match(again.stdout, /^moved already/)
}

/** As after a crash between the copy of the store, which made the new side whole, and the mark of the old one. */
async function isOverWithoutLastMark(place: Place): Promise<void> {
  {
    const own = { home: homeOf(place), clock: systemClock, logger: silentLogger }
    await using postgres = await startOwnPostgres(own)
    const client = new Client(postgres.url)
    await client.connect()
    await client.query('UPDATE hooktrail.moves SET is_whole = false')
    await client.end()
  }
  await refusesOld(place, 'STORE_MOVE_UNFINISHED')
  await movedAlready(place)
  await refusesOld(place, 'STORE_MOVED')
}

async function goesOn(place: Place, left: Left): Promise<void> {
  const { folder, port, size } = place
  await using trail = await startInstallation({ folder, port, config: newConfig(place), env: size.env })
  await exercise(place, trail, left).catch((error: unknown) => {
    throw new Error(trail.output(), { cause: error })
  })
  assert.equal(await trail.stop(), 0, trail.output())
  const key = join(trail.home, 'keys', 'archive.pub')
  const verified = await trail.cli('archive', 'verify', size.archive(trail.home), '--key', key)
  assert.equal(verified.code, 0, verified.stdout + verified.stderr)
}

async function exercise(place: Place, trail: Installation, left: Left): Promise<void> {
  const { receiver, size } = place
  await tellsOfBefore(trail, left)
  const after = await send(
    trail.url,
    Array.from({ length: EVENTS }, (_, n) => `after-${n}`),
  )
  const [repeated = ''] = await send(trail.url, ['before-0'])
  receiver.script('/failing', () => 200)
  const cli = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await trail.cli(...args, '--reason', 'moved', '--url', trail.url)
    assert.equal(code, 0, stderr)
  }
  await cli('handlers', 'enable', 'off')
  await cli('jobs', 'retry', `${left.deadId}.off`)
  const all = [...left.ids, ...after]
  for (const handler of HANDLERS)
    await succeeded(
      size,
      trail,
      all.map((id) => `${id}.${handler}`),
    )
  const { duplicate, duplicate_of: original } = (await trail.api(`/api/events/${repeated}`)) as Row
  assert.deepEqual([duplicate, original], [true, left.ids[1]])
  assert.deepEqual(eventIdsAt(receiver, '/quick').toSorted(), all.toSorted(), 'quick got each event once')
  assert.deepEqual(
    eventIdsAt(receiver, '/off').toSorted(),
    [...all, left.deadId].toSorted(),
    'off got each event once, and the dead one again',
  )
  await untilReportAddsUp(() => trail.cli('report', '--url', trail.url), WAIT_MS)
}

type Row = Readonly<Record<string, unknown>>

async function tellsOfBefore(trail: Installation, { ids, untoldId }: Left): Promise<void> {
  const event = (await trail.api(`/api/events/${ids[1] ?? ''}`)) as Row
  assert.deepEqual([event['tier'], event['payload']], ['archive', bodyOf('before-0')])
  const { items } = (await trail.api(`/api/jobs/${untoldId}.quick/attempts`)) as { items: readonly Row[] }
  assert.deepEqual(
    items.map(({ status_code: status }) => status),
    [200],
  )
}

/** The archive holds a successful attempt of each, also of those before the move. */
async function succeeded(size: Size, trail: Installation, jobs: readonly string[]): Promise<void> {
  await eventually(`${jobs.length} jobs succeed`, WAIT_MS, () => {
    const told = deliveredJobs(size.rows(trail.home))
    return Promise.resolve(jobs.every((job) => told.has(job)) ? true : null)
  })
}

function bodyOf(name: string): string {
  return JSON.stringify({ name })
}

async function send(url: string, names: readonly string[]): Promise<readonly string[]> {
  const ids: string[] = []
  for (const name of names)
    ids.push(await sendPing(url, { secret: SECRET, body: bodyOf(name), delivery: name }))
  return ids
}

function received(receiver: Receiver, handler: string, ids: readonly string[]): Promise<void> {
  return untilReceived(receiver, `/${handler}`, { ids, msMax: WAIT_MS })
}
