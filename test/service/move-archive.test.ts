/**
 * An archive copied to another place. Goal: the copy is the archive, byte for byte, whatever broke on the way, and no
 * other archive is ever mixed with it. Method: a true archive in a folder, faults around the store's port, the verifier.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { copyArchive, type CopiedObjects } from '../../cli/moving/copy-archive.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import { ArchiveBuilder, fixedClock, silentLogger } from '../support/archive-builder.ts'
import { FaultyArchive } from '../support/faults-archive.ts'

const BYTES_MAX = 1024 * 1024

interface Stage extends Disposable {
  readonly builder: ArchiveBuilder
  readonly to: ArchiveStore
  copy(to?: ArchiveStore, signal?: AbortSignal): Promise<CopiedObjects>
}

async function openStage(): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-copy-'))
  const builder = await ArchiveBuilder.create(join(folder, 'from'))
  for (let n = 0; n < 5; n++) {
    await builder.addSegment(n % 2, 10)
    await builder.addHeartbeat()
  }
  const to = await openDirectoryStore(join(folder, 'to'), { clock: fixedClock, logger: silentLogger })
  return {
    ...{ builder, to },
    copy: (target = to, signal = new AbortController().signal) =>
      copyArchive({ from: builder.store, to: target, spoolDirectory: join(folder, 'spool') }, signal),
    [Symbol.dispose]: () => {
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function contentsOf(store: ArchiveStore): Promise<readonly (readonly [string, string])[]> {
  const contents: (readonly [string, string])[] = []
  for await (const { key } of store.list('')) {
    const bytes = await store.read(key, BYTES_MAX)
    contents.push([key, bytes?.toString('hex') ?? ''])
  }
  return contents
}

test('every object is copied under its key, and a second time nothing', async () => {
  using stage = await openStage()
  const objects = await contentsOf(stage.builder.store)
  const copied = await stage.copy()
  assert.equal(copied.objects, objects.length)
  assert.deepEqual(await contentsOf(stage.to), objects)
  assert.deepEqual(await stage.copy(), { objects: 0, bytes: 0 })
})

for (const moment of ['before', 'after'] as const)
  test(`a copy that broke ${moment} a create goes on where it was`, async () => {
    using stage = await openStage()
    const faulty = new FaultyArchive(stage.to)
    faulty.fail('segments/', moment)
    await assert.rejects(stage.copy(faulty), { code: 'ARCHIVE_STORE_UNAVAILABLE' })
    await stage.copy(faulty)
    assert.equal(new Set(faulty.created).size, faulty.created.length, 'nothing was created twice')
    assert.deepEqual(await contentsOf(stage.to), await contentsOf(stage.builder.store))
  })

test('what the old side archived after a first copy is added by the next', async () => {
  using stage = await openStage()
  await stage.copy()
  await stage.builder.addSegment(0, 3)
  await stage.builder.addHeartbeat()
  assert.equal((await stage.copy()).objects, 3)
  assert.deepEqual(await contentsOf(stage.to), await contentsOf(stage.builder.store))
})

test('a place that holds another archive, or an object that is not ours, is refused', async () => {
  using stage = await openStage()
  using other = await openStage()
  await assert.rejects(stage.copy(other.builder.store), { code: 'MOVE_TARGET_NOT_EMPTY' })
  const body = Buffer.from('x')
  const sha256 = hash('sha256', body, 'buffer')
  await stage.to.create({ key: 'heartbeats/foreign', body, sha256, contentType: 'text/plain' })
  await assert.rejects(stage.copy(), { code: 'MOVE_TARGET_NOT_EMPTY' })
})

test('a copy that is stopped ends, and leaves what is whole', async () => {
  using stage = await openStage()
  const stopping = new AbortController()
  const faulty = new FaultyArchive(stage.to)
  const held = faulty.hold('data/', 'before')
  const copying = stage.copy(faulty, stopping.signal)
  await held.reached
  stopping.abort()
  held.release()
  await assert.rejects(copying, { name: 'AbortError' })
  await stage.copy()
  assert.deepEqual(await contentsOf(stage.to), await contentsOf(stage.builder.store))
})
