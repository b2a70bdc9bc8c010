/** The archive commands as processes: data on stdout, the verdict as exit code, nothing but a folder needed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { ArchiveBuilder } from '../support/archive-builder.ts'

const TOPIC = 'hooktrail.events.demo'
const CLI = new URL('../support/archive-cli.ts', import.meta.url).pathname

let base = ''
let folder = ''
let key = ''
let now = ''

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'archive-commands-'))
  folder = path.join(base, 'archive')
  key = path.join(base, 'archive.pub')
  const builder = await ArchiveBuilder.create(folder)
  await writeFile(key, `${builder.signer.vkey}\n`)
  for (let round = 0; round < 3; round++) {
    await builder.addSegment(0, 10)
    await builder.addSegment(1, 4)
    await builder.addHeartbeat()
  }
  now = new Date(builder.nowMs).toISOString()
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

function run(...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { encoding: 'utf8' })
  return { status, out: stdout, err: stderr }
}

function offsetsOf(out: string): readonly string[] {
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const row: unknown = JSON.parse(line)
      assert(typeof row === 'object' && row !== null && 'partition' in row && 'offset' in row)
      return `${String(row.partition)}/${String(row.offset)}`
    })
}

test('verify says complete and intact and keeps a checkpoint that the next one takes', () => {
  const file = path.join(base, 'checkpoint.json')
  const first = run('verify', folder, '--key', key, '--now', now, '--write-checkpoint', file)
  assert.equal(first.status, 0, first.err)
  assert.match(first.out, /^complete and intact/)
  const second = run('verify', folder, '--key', key, '--now', now, '--checkpoint', file, '--json')
  assert.equal(second.status, 0)
  const report: unknown = JSON.parse(second.out)
  assert(typeof report === 'object' && report !== null && 'records' in report)
  assert.equal(report.records, '42')
  const before = readFileSync(file, 'utf8')
  assert.equal(
    run('verify', folder, '--key', key, '--now', '2030-01-01', '--write-checkpoint', file).status,
    3,
  )
  assert.equal(readFileSync(file, 'utf8'), before)
})

test('verify is 64 without a key and 3 long after the last heartbeat', () => {
  assert.equal(run('verify', folder, '--now', now).status, 64)
  assert.equal(run('verify', folder, '--key', key, '--now', '2030-01-01').status, 3)
})

test('verify with the key of another archive is 64 and names both keys', async () => {
  const other = await ArchiveBuilder.create(path.join(base, 'other'))
  const file = path.join(base, 'other.pub')
  await writeFile(file, `${other.signer.vkey}\n`)
  const { status, out, err } = run('verify', folder, '--key', file, '--now', now)
  assert.equal(status, 64)
  assert.equal(out, '')
  assert.match(err, /ARCHIVE_OTHER_KEY/)
  for (const vkey of [other.signer.vkey, readFileSync(key, 'utf8')]) {
    const id = vkey.split('+').slice(0, 2).join('+')
    assert(err.includes(id), err)
  }
})

test('verify is 66 and says why when the key or the checkpoint cannot be used', async () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const files = {
    'private.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    'garbage.pub': 'no key\n',
    'empty.pub': '# nothing\n',
  }
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(base, name), text)
  for (const [name, reason] of [
    ['none.pub', /ENOENT/],
    ['private.pem', /it is a private key/],
    ['garbage.pub', /a line is no public key/],
    ['empty.pub', /no key in it/],
    ['.', /EISDIR/],
  ] as const) {
    const { status, err } = run('verify', folder, '--key', path.join(base, name))
    assert.equal(status, 66, name)
    assert.match(err, /ARCHIVE_PUBLIC_KEY_INVALID/)
    assert.match(err, reason)
  }
  for (const name of ['none.json', 'garbage.pub']) {
    const { status, err } = run('verify', folder, '--key', key, '--checkpoint', path.join(base, name))
    assert.equal(status, 66)
    assert.match(err, /ARCHIVE_CHECKPOINT_INVALID/)
  }
  const unwritable = path.join(base, 'no-folder', 'checkpoint.json')
  const { status, out } = run('verify', folder, '--key', key, '--now', now, '--write-checkpoint', unwritable)
  assert.equal(status, 66)
  assert.match(out, /^complete and intact/)
})

test('cat prints the wanted offsets of the wanted partition in order', () => {
  const all = offsetsOf(run('cat', folder, '--topic', TOPIC).out)
  assert.equal(all.length, 42)
  assert.deepEqual(all.slice(0, 3), ['0/0', '0/1', '0/2'])
  const some = run(
    'cat',
    folder,
    '--topic',
    TOPIC,
    '--partition',
    '0',
    '--from-offset',
    '8',
    '--to-offset',
    '11',
  )
  assert.deepEqual(offsetsOf(some.out), ['0/8', '0/9', '0/10', '0/11'])
  const none = run('cat', folder, '--topic', TOPIC, '--from-offset', '1000')
  assert.deepEqual([none.status, none.out], [0, ''])
  assert.match(none.err, /no record/)
  assert.equal(run('cat', folder, '--topic', TOPIC, '--from-offset', '9', '--to-offset', '8').status, 64)
})

test('ls lists every segment and status counts them', () => {
  const lines = run('ls', folder, '--json').out.trim().split('\n')
  assert.equal(lines.length, 6)
  const status = run('status', folder, '--json')
  assert.match(status.out, /"records":"42"/)
  assert.match(status.out, /"data_objects":6/)
  assert.match(run('status', folder).out, /newest heartbeat: 2 of/)
})

test('cat and ls of a topic that the archive does not hold name those that it does', () => {
  for (const command of ['cat', 'ls']) {
    const { status, out, err } = run(command, folder, '--topic', 'hooktrail.events.other')
    assert.equal(status, 64)
    assert.equal(out, '')
    assert.match(err, /ARCHIVE_TOPIC_UNKNOWN/)
    assert(err.includes(`topics: ${TOPIC}\n`), err)
  }
})

test('every command on what is no archive is 66, says so and prints no data', async () => {
  await mkdir(path.join(base, 'empty'))
  for (const [name, reason] of [
    ['none', 'there is no such folder'],
    ['archive.pub', 'it is no folder'],
    ['empty', 'it is empty'],
    ['.', 'it holds nothing of an archive'],
  ] as const) {
    for (const args of [['verify', '--key', key], ['ls'], ['status'], ['cat', '--topic', TOPIC]]) {
      const [command = '', ...options] = args
      const { status, out, err } = run(command, path.join(base, name), ...options)
      assert.equal(status, 66, `${command} ${name}`)
      assert.equal(out, '')
      assert(err.includes('ARCHIVE_NOT_FOUND') && err.includes(reason), err)
    }
  }
})

test('a bucket without an endpoint is sought at Amazon, and what fails there says how to name another store', () => {
  const env = { PATH: process.env['PATH'], HOME: base, AWS_EC2_METADATA_DISABLED: 'true' }
  const { status, stderr } = spawnSync(process.execPath, [CLI, 'ls', 's3://bucket/prefix'], {
    encoding: 'utf8',
    env,
  })
  assert.equal(status, 66)
  assert.match(stderr, /^hooktrail: there are no credentials .*\(ARCHIVE_CREDENTIALS_MISSING\)/)
  assert.doesNotMatch(stderr, /key: *\n/)
  assert.match(stderr, /store: bucket bucket at Amazon S3, region us-east-1/)
  assert.match(stderr, /to do: .*AWS_ACCESS_KEY_ID.*AWS_ENDPOINT_URL_S3, which is not set/)
})
