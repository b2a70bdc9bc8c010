/** The archive commands as processes: data on stdout, the verdict as exit code, nothing but a folder needed. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
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

test('verify is 64 without a key, 3 long after the last heartbeat, 66 when there is nothing to read', () => {
  assert.equal(run('verify', folder, '--now', now).status, 64)
  assert.equal(run('verify', folder, '--key', key, '--now', '2030-01-01').status, 3)
  assert.equal(run('verify', folder, '--key', path.join(base, 'none.pub')).status, 66)
  assert.equal(run('verify', path.join(base, 'none'), '--key', key).status, 66)
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
  assert.equal(run('cat', folder, '--topic', 'hooktrail.events.other').out, '')
})

test('ls lists every segment and status counts them', () => {
  const lines = run('ls', folder, '--json').out.trim().split('\n')
  assert.equal(lines.length, 6)
  const status = run('status', folder, '--json')
  assert.match(status.out, /"records":"42"/)
  assert.match(status.out, /"data_objects":6/)
  assert.match(run('status', folder).out, /newest heartbeat: 2 of/)
})

test('a command on a folder that is none fails and prints no data', () => {
  for (const command of ['ls', 'status']) {
    const { status, out } = run(command, path.join(base, 'none'))
    assert.notEqual(status, 0)
    assert.equal(out, '')
  }
})
