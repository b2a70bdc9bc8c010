/**
 * The life of an archive's keys as its operator lives it: a ceremony, a box that signs under its root, a rotation by way of
 * the root, and one by the old key alone; each while `hooktrail start` runs, each verified with the key given at first.
 */
import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import { readPublicKeys } from '../../adapters/system/key-files.ts'
import { verifyArchive } from '../../core/archive/verify/verify-archive.ts'
import type { VerifyReport } from '../../core/archive/verify/verify-report.ts'
import { NEVER } from '../../core/deadline.ts'
import {
  eventually,
  freePort,
  runCli,
  startInstallation,
  type CliResult,
  type Installation,
} from '../support/installation.ts'

const WAIT_MS_MAX = 60_000
const CONFIG = `
archive: { heartbeat: 1s, idle_heartbeat: 1s, roll: { age: 1s } }
sources:
  demo: { verify: none }
`

const base = mkdtempSync(join(tmpdir(), 'hooktrail-keys-'))

after(() => {
  rmSync(base, { recursive: true, force: true })
})

async function box(name: string): Promise<Installation> {
  return startInstallation({ folder: join(base, name), port: await freePort(), config: CONFIG })
}

async function cli(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(args, {
    ...process.env,
    HOOKTRAIL_HOME: join(base, 'no-home'),
  })
  assert.equal(code, 0, stderr)
  return stdout
}

function succeeded({ code, stdout, stderr }: CliResult): string {
  assert.equal(code, 0, stderr)
  return stdout
}

/** Until heartbeats are signed by so many keys. */
function verified({ home }: Installation, keyFile: string, keys: number): Promise<VerifyReport> {
  return eventually('the new key signs heartbeats', WAIT_MS_MAX, async () => {
    const store = await openDirectoryForReading(join(home, 'archive'))
    const pinned = await readPublicKeys(keyFile)
    const report = await verifyArchive({ store, keys: pinned, nowMs: Date.now(), level: 2, signal: NEVER })
    assert.equal(report.exitCode, 0, JSON.stringify(report.findings))
    return report.keys.filter(({ fromHeartbeat }) => fromHeartbeat !== null).length === keys ? report : null
  })
}

async function send(installation: Installation): Promise<void> {
  const response = await fetch(`${installation.url}/webhooks/demo`, { method: 'POST', body: '{"n":1}' })
  assert.equal(response.status, 200)
}

test('a box without a root key rotates while it runs, and the key that auditors hold stays good', async () => {
  await using installation = await box('plain')
  const keys = join(installation.home, 'keys')
  const held = join(base, 'held.pub')
  copyFileSync(join(keys, 'archive.pub'), held)
  await send(installation)
  const printed = succeeded(await installation.cli('keys', 'rotate', '-c', installation.configFile))
  assert.match(printed, /signs from the next heartbeat on/)
  await send(installation)
  const report = await verified(installation, held, 2)
  assert.equal(report.rootKey, null)
  assert(!existsSync(join(keys, 'archive-next.key')))
  assert.equal(readdirSync(keys).filter((name) => /^retired-[0-9a-f]{8}\.key$/.test(name)).length, 1)
  assert.equal(statSync(join(keys, 'archive.key')).mode & 0o777, 0o600)
  const health = JSON.stringify(await installation.api('/health'))
  for (const text of [health, installation.output(), printed]) assert.doesNotMatch(text, /PRIVATE KEY/)
})

test('after a ceremony the root alone brings keys into force, and auditors need nothing but its public key', async () => {
  const safe = join(base, 'safe')
  const transcript = await cli('keys', 'ceremony', '--out', safe, '--witness', 'A. Keeper')
  assert.match(transcript, /A\. Keeper/)
  for (const name of ['root.key', 'archive.key']) assert.equal(statSync(join(safe, name)).mode & 0o777, 0o600)

  const keys = join(base, 'rooted', 'home', 'keys')
  mkdirSync(keys, { recursive: true, mode: 0o700 })
  writeFileSync(join(keys, 'archive.key'), readFileSync(join(safe, 'archive.key')), { mode: 0o600 })
  for (const name of ['archive.note', 'archive.pub']) copyFileSync(join(safe, name), join(keys, name))
  await using installation = await box('rooted')
  await send(installation)
  const rotate = ['keys', 'rotate', '-c', installation.configFile] as const
  const alone = await installation.cli(...rotate)
  assert.equal(alone.code, 64, 'the box alone cannot')

  const [request, note] = [join(base, 'request.json'), join(base, 'next.note')]
  const asked = succeeded(await installation.cli(...rotate, '--request', request))
  const said = await cli(
    'keys',
    'delegate',
    '--root-key',
    join(safe, 'root.key'),
    '--request',
    request,
    '--out',
    note,
  )
  const fingerprint = /^new key +(\S+)/m.exec(asked)?.[1] ?? 'none'
  assert(said.includes(fingerprint), 'both machines show the same fingerprint')
  assert.match(
    succeeded(await installation.cli(...rotate, '--delegation', note)),
    /signs from the next heartbeat on/,
  )
  await send(installation)
  const report = await verified(installation, join(safe, 'archive.pub'), 2)
  assert.match(report.rootKey ?? '', /^hooktrail-root\+/)
})
