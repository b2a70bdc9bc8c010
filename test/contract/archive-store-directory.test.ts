/** The directory store: the port's suite, and what only a file system can do to it. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { openDirectoryForReading, openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import { fixedClock, silentLogger } from '../support/archive-builder.ts'
import { ARCHIVE_START_MS } from '../support/archive-records.ts'
import { failsWith, keysOf, objectOf, testArchiveStore } from './archive-store.ts'
import { messageOf } from '../../core/error/message-of.ts'

let base = ''
let stores = 0

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'directory-store-'))
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

function newFolder(): string {
  stores += 1
  return path.join(base, `store-${String(stores)}`)
}

function open(folder = newFolder()): Promise<ArchiveStore> {
  return openDirectoryStore(folder, { clock: fixedClock, logger: silentLogger })
}

testArchiveStore({ open: () => open(), scratch: () => base })

test('objects are 0444 in folders of 0700, and nothing is left in tmp', async () => {
  const store = await open()
  await store.create(objectOf('a/b', Buffer.from('x')))
  await store.create(objectOf('a/b', Buffer.from('x')))
  assert.equal((await stat(path.join(store.location, 'a/b'))).mode & 0o777, 0o444)
  assert.equal((await stat(path.join(store.location, 'a'))).mode & 0o777, 0o700)
  assert.equal((await stat(path.join(store.location, 'a/b'))).nlink, 1)
  assert.deepEqual(await readdir(path.join(store.location, 'tmp')), [])
})

test('a start sweeps what a killed writer left an hour ago and leaves what another writes now', async () => {
  const folder = newFolder()
  await mkdir(path.join(folder, 'tmp'), { recursive: true })
  for (const [name, ageSeconds] of [
    ['old', 7200],
    ['young', 60],
  ] as const) {
    await writeFile(path.join(folder, 'tmp', name), 'partial')
    const then = ARCHIVE_START_MS / 1000 - ageSeconds
    await utimes(path.join(folder, 'tmp', name), then, then)
  }
  const store = await open(folder)
  assert.deepEqual(await readdir(path.join(folder, 'tmp')), ['young'])
  assert.deepEqual(await keysOf(store, ''), [])
})

test('opening for reading creates nothing and wants a folder', async () => {
  await assert.rejects(openDirectoryForReading(path.join(base, 'absent')), failsWith('ARCHIVE_NOT_FOUND'))
  const folder = newFolder()
  await mkdir(folder)
  await openDirectoryForReading(folder)
  assert.deepEqual(await readdir(folder), [])
})

test('a writer that is killed again and again never leaves a partial object under a key', async () => {
  const folder = newFolder()
  const store = await open(folder)
  const size = 200_000
  for (let round = 0; round < 6; round++) {
    const child = spawn(process.execPath, [WRITER, folder, String(round), String(size)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    // It says each name before it writes it: killed in the midst of one of its first objects.
    let seen = 0
    child.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString().split('\n').length - 1
      if (seen > round * 3) child.kill('SIGKILL')
    })
    await once(child, 'close')
  }
  const keys = await keysOf(store, '')
  assert(keys.length > 0)
  for (const key of keys) {
    const body = await store.read(key, size)
    assert.deepEqual(body, Buffer.alloc(size, key.length), key)
    assert.equal(await store.create(objectOf(key, Buffer.from('other'))), 'exists')
  }
})

const WRITER = new URL('../support/archive-store-writer.ts', import.meta.url).pathname

test('a full disk is ARCHIVE_STORE_FULL at every step, and the store goes on when there is room again', async (t) => {
  const mount = path.join(base, 'small')
  await mkdir(mount)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,nr_inodes=16', 'tmpfs', mount], { stdio: 'ignore' })
  } catch (error) {
    t.skip(`not run here: mounting is not permitted (${messageOf(error)})`)
    return
  }
  try {
    const store = await open(mount)
    await assert.rejects(
      store.create(objectOf('big', Buffer.alloc(200_000, 1))),
      failsWith('ARCHIVE_STORE_FULL'),
    )
    assert.deepEqual(await keysOf(store, ''), [])
    const made = await fillInodes(store)
    assert.deepEqual((await keysOf(store, '')).length, made)
    await rm(path.join(mount, 'd'), { recursive: true })
    assert.equal(await store.create(objectOf('after', Buffer.from('room'))), 'created')
    assert.deepEqual(await readdir(path.join(mount, 'tmp')), [])
  } finally {
    execFileSync('umount', [mount])
  }
})

/** Until neither a folder nor a file can be made. @returns how many objects there are */
async function fillInodes(store: ArchiveStore): Promise<number> {
  for (let made = 0; ; made++) {
    try {
      await store.create(objectOf(`d/${String(made)}/object`, Buffer.from('x')))
    } catch (error) {
      assert(failsWith('ARCHIVE_STORE_FULL')(error), String(error))
      return made
    }
  }
}
