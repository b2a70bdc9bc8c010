/**
 * `archive.worm: required` as an operator meets it: the bucket is made by `archive init`, the lock probed, everything
 * locked; a hold is asked for and in force; a bucket without Object Lock ends the start with what is missing.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { CreateBucketCommand } from '@aws-sdk/client-s3'
import {
  eventually,
  freePort,
  runCli,
  startInstallation,
  type InstallationOptions,
} from '../support/installation.ts'
import { orSkip } from '../support/services/local-process.ts'
import { s3Client, startOrReason, type S3Service } from '../support/services/s3-service.ts'
import { startVersitygw } from '../support/services/versitygw.ts'

const WAIT_MS_MAX = 120_000
const RELEASE_TOKEN = 'second-token-of-the-test'

function environmentOf(s3: S3Service): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_ACCESS_KEY_ID: s3.accessKey,
    AWS_SECRET_ACCESS_KEY: s3.secretKey,
  }
}

async function optionsOf(t: TestContext, s3: S3Service, bucket: string): Promise<InstallationOptions> {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-locked-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const config = `api: { release_token: ${RELEASE_TOKEN} }
archive:
  { driver: s3, bucket: ${bucket}, prefix: trail, endpoint: '${s3.endpoint}', worm: required, heartbeat: 500ms, roll: { age: 500ms },
    retention: { mode: governance, period: 1d }, credentials: { access_key: ${s3.accessKey}, secret_key: ${s3.secretKey} } }
sources:
  shop: { verify: none, archive_retention: { mode: compliance, period: 2d, confirm: 2d } }
`
  return { folder, port: await freePort(), config }
}

test('a locked archive from init to verify, with a hold that is asked for, signed and released', async (t) => {
  const s3 = await orSkip(t, startOrReason(startVersitygw))
  if (s3 === null) return
  await using opened = new AsyncDisposableStack()
  opened.use(s3)
  const env = { ...process.env, ...environmentOf(s3) }
  const made = await runCli(['archive', 'init', 's3://locked/trail'], env)
  assert.equal(made.code, 0, made.stderr)
  assert.match(made.stdout, /retention: \{ mode: governance, period: 1d \}/)
  assert.match(made.stderr, /archive init s3:\/\/locked\/trail --print/)
  const hooktrail = opened.use(await startInstallation(await optionsOf(t, s3, 'locked')))
  assert.equal((await fetch(`${hooktrail.url}/webhooks/shop`, { method: 'POST', body: '{}' })).status, 200)

  const held = await hooktrail.cli(
    'archive',
    'hold',
    '-c',
    hooktrail.configFile,
    '--source',
    'shop',
    '--reason',
    'case 17',
  )
  assert.equal(held.code, 0, held.stderr)
  const { id } = JSON.parse(held.stdout) as { id: string }
  await stateOf('in-force')
  const release = ['archive', 'release', '-c', hooktrail.configFile, id, '--reason', 'closed']
  const unallowed = await hooktrail.cli(...release)
  assert.equal(unallowed.code, 65)
  assert.match(unallowed.stderr, /API_RELEASE_REFUSED/)
  const released = await hooktrail.cli(...release, '--release-token', RELEASE_TOKEN)
  assert.equal(released.code, 0, released.stderr)
  await stateOf('released')

  const misspelt = ['--topic', 'hooktrail.events.shpo', '--reason', 'case 18']
  const nothing = await hooktrail.cli('archive', 'hold', '-c', hooktrail.configFile, ...misspelt)
  assert.equal(nothing.code, 0, nothing.stderr)
  assert.match(nothing.stderr, /no topic hooktrail\.events\.shpo; did you mean hooktrail\.events\.shop\?/)

  const probed = await hooktrail.cli('archive', 'probe', '-c', hooktrail.configFile)
  assert.equal(probed.code, 0, probed.stdout + probed.stderr)
  assert.equal(await hooktrail.stop(), 0, hooktrail.output())
  const key = join(hooktrail.home, 'keys', 'archive.pub')
  const { code, stdout } = await runCli(
    ['archive', 'verify', 's3://locked/trail', '--key', key, '--json'],
    env,
  )
  const report = JSON.parse(stdout) as { records: string; findings: readonly unknown[] }
  assert.equal(code, 0, stdout)
  assert.deepEqual(report.findings, [])
  assert.ok(Number(report.records) > 0)

  function stateOf(wanted: string): Promise<true> {
    return eventually(`the hold is ${wanted}`, WAIT_MS_MAX, async () => {
      const { items } = (await hooktrail.api('/api/archive/holds')) as { items: readonly { state: string }[] }
      return items[0]?.state === wanted ? true : null
    })
  }
})

test('worm: required on a bucket without Object Lock ends the start, and says which check failed', async (t) => {
  const s3 = await orSkip(t, startOrReason(startVersitygw))
  if (s3 === null) return
  await using opened = new AsyncDisposableStack()
  opened.use(s3)
  const client = s3Client(s3.endpoint, s3)
  await client.send(new CreateBucketCommand({ Bucket: 'unlocked' }))
  client.destroy()
  const { folder, port, config } = await optionsOf(t, s3, 'unlocked')
  const file = join(folder, 'hooktrail.yaml')
  await writeFile(file, `version: 1\nserver: { host: 127.0.0.1, port: ${String(port)} }\n${config}`)
  const env = { ...process.env, HOOKTRAIL_HOME: join(folder, 'home'), HOOKTRAIL_LOG: 'warn' }
  const { code, stderr } = await runCli(['start', '-c', file], env)
  assert.notEqual(code, 0)
  assert.match(stderr, /ARCHIVE_WORM_NOT_IN_FORCE/)
  assert.match(stderr, /lock-stated: fail/)
  assert.match(stderr, /to do: .*make the bucket with Object Lock/)
})
