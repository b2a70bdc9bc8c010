/**
 * What is no plain file below an archive, and what may not be read: every command ends, says what it is, and neither
 * follows nor opens it. Verification goes on past it; the commands that print stop there.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmod, cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { ArchiveBuilder } from '../support/archive-builder.ts'

const TOPIC = 'hooktrail.events.demo'
const CLI = new URL('../support/archive-cli.ts', import.meta.url).pathname
/** A command that waits on a fifo would wait for ever: killed then, and its status is null. */
const TIMEOUT_MS = 60_000

let base = ''
let key = ''
let now = ''
let manifest = ''
let data = ''
let heartbeat = ''
let copies = 0

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'archive-odd-'))
  key = path.join(base, 'archive.pub')
  const builder = await ArchiveBuilder.create(path.join(base, 'true'))
  await writeFile(key, `${builder.signer.vkey}\n`)
  await builder.addSegment(0, 5)
  ;({ manifest, data } = await builder.addSegment(0, 5))
  await builder.addHeartbeat()
  heartbeat = await builder.addHeartbeat()
  now = new Date(builder.nowMs).toISOString()
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

async function copy(): Promise<string> {
  copies += 1
  const folder = path.join(base, `copy-${String(copies)}`)
  await cp(path.join(base, 'true'), folder, { recursive: true })
  return folder
}

interface Outcome {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

function run(command: string, folder: string, ...options: readonly string[]): Outcome {
  return runFile(process.execPath, [CLI, command, folder, ...options])
}

function runFile(file: string, args: readonly string[]): Outcome {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: TIMEOUT_MS })
  return { status, out: stdout, err: stderr }
}

function verify(folder: string, ...options: readonly string[]): Outcome {
  return run('verify', folder, '--key', key, '--now', now, ...options)
}

/** The ways in which something else can lie at a name. */
const KINDS: Readonly<Record<string, (file: string) => Promise<void>>> = {
  symlink: (file) => symlink(path.join(base, 'true', manifest), file),
  fifo: (file) => {
    execFileSync('mkfifo', [file])
    return Promise.resolve()
  },
  socket: (file) => leaveSocket(file),
  folder: (file) => mkdir(file).then(() => undefined),
}

/** Bound under a short name, as a socket's path is limited, and left there under the wanted one. */
async function leaveSocket(file: string): Promise<void> {
  const short = path.join(base, 's')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(short, resolve))
  await rename(short, file)
  await new Promise((resolve) => server.close(resolve))
}

for (const [kind, make] of Object.entries(KINDS)) {
  test(`a ${kind} in the place of a manifest, a data object, a heartbeat or genesis is named by verify`, async () => {
    for (const object of [manifest, data, heartbeat, 'genesis.note', 'README.txt']) {
      const folder = await copy()
      await rm(path.join(folder, object))
      await make(path.join(folder, object))
      const { status, out } = verify(folder)
      // An empty folder is no object and no part of a listing: the newest heartbeat is then missing like a cut tail.
      if (kind === 'folder' && object === heartbeat) continue
      assert.equal(status, 1, `${object}: ${out}`)
      assert.match(out, new RegExp(`not-a-file {2}${object}: a ${kind} lies here`))
    }
  })

  test(`a ${kind} in the place of a manifest or its data ends ls, status and cat with its name`, async () => {
    const folder = await copy()
    await rm(path.join(folder, data))
    await make(path.join(folder, data))
    assert.equal(run('ls', folder).status, 0)
    assert.equal(run('status', folder).status, 0)
    assertNamed(run('cat', folder, '--topic', TOPIC), data, kind)
    if (kind === 'folder') return
    await rm(path.join(folder, manifest))
    await make(path.join(folder, manifest))
    for (const options of [['ls'], ['status'], ['cat', '--topic', TOPIC]]) {
      const [command = '', ...rest] = options
      assertNamed(run(command, folder, ...rest), manifest, kind)
    }
  })
}

function assertNamed({ status, err }: Outcome, object: string, kind: string): void {
  assert.equal(status, 66, err)
  assert.match(err, /ARCHIVE_OBJECT_NOT_FILE/)
  assert(err.includes(object) && err.includes(`found: ${kind}`), err)
}

test('a folder that is a symlink is named and not walked, even when it leads back to the archive', async () => {
  const folder = await copy()
  await rename(path.join(folder, 'data'), path.join(base, 'moved-data'))
  await symlink(path.join(base, 'moved-data'), path.join(folder, 'data'))
  await symlink('.', path.join(folder, 'again'))
  const { status, out } = verify(folder)
  assert.equal(status, 1)
  assert.match(out, /not-a-file {2}data: a symlink/)
  assert.match(out, /not-a-file {2}again: a symlink/)
})

test('a dotfile is foreign, and the modes of true objects mean nothing', async () => {
  const folder = await copy()
  for (const object of [manifest, data, heartbeat, 'genesis.note'])
    await chmod(path.join(folder, object), 0o666)
  assert.equal(verify(folder).status, 0)
  await writeFile(path.join(folder, 'data', '.hidden'), 'x')
  const { status, out } = verify(folder)
  assert.equal(status, 1)
  assert.match(out, /foreign {2}data\/\.hidden/)
  assert.equal(run('ls', folder).status, 0)
})

test('an object that may not be read is 66 with its name, for every command', async (t) => {
  if (!canDropRights(t)) return
  const folder = await copy()
  await chmod(path.join(folder, manifest), 0)
  for (const options of [
    ['verify', '--key', key, '--now', now],
    ['ls'],
    ['status'],
    ['cat', '--topic', TOPIC],
  ]) {
    const [command = '', ...rest] = options
    const { status, err } = runWithoutRights([process.execPath, CLI, command, folder, ...rest])
    assert.equal(status, 66, err)
    assert.match(err, /ARCHIVE_STORE_DENIED/)
    assert(err.includes(manifest), err)
  }
})

/** Root may read everything; in a user namespace of its own it may not. */
function runWithoutRights(args: readonly string[]): Outcome {
  if (process.getuid?.() !== 0) return runFile(args[0] ?? '', args.slice(1))
  return runFile('unshare', ['--user', '--map-user=1000', '--', ...args])
}

function canDropRights(t: TestContext): boolean {
  if (runWithoutRights(['true']).status === 0) return true
  t.skip('not run here: no user namespace can be made')
  return false
}
