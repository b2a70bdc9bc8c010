/**
 * A year of archive: any event is found with fewer than 200 requests, through an index that lies outside and that nobody
 * trusts, and levels 0 and 1 are verified within the memory of a small process.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { openDirectoryForReading, openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { buildIndex } from '../../core/archive/index/index-builder.ts'
import { findEvent } from '../../core/archive/index/find-event.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import { fixedClock, silentLogger, type ArchiveBuilder } from '../support/archive-builder.ts'
import { scale } from '../support/scale.ts'
import { change, remove } from '../support/tampering.ts'
import { buildWideArchive, counting } from '../support/wide-archive.ts'

const CLI = new URL('../support/archive-cli.ts', import.meta.url).pathname
const REQUESTS_MAX = 200
/** Of the heap; the archive's notes alone are twenty times that at the long size. */
const HEAP_MB = 64
const SEGMENTS = scale.archiveSegments
const { signal } = new AbortController()

let base = ''
let folder = ''
let builder: ArchiveBuilder
let store: ArchiveStore
let index: ArchiveStore

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'archive-find-'))
  folder = path.join(base, 'archive')
  builder = await buildWideArchive(folder, SEGMENTS)
  store = await openDirectoryForReading(folder)
  index = await openDirectoryStore(`${folder}-index`, { clock: fixedClock, logger: silentLogger })
  await writeFile(path.join(base, 'archive.pub'), `${builder.signer.vkey}\n`)
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

const build = (): Promise<number> =>
  buildIndex({ source: { store, keys: builder.keys }, archiveId: 'test-archive', index, signal })

test('any event of a year is found with fewer than 200 requests', async (t) => {
  assert.equal(await build(), SEGMENTS - (SEGMENTS % 16))
  assert.equal(await build(), 0)
  let most = 0
  for (const offset of [0, 1, 15, 16, 4_095, SEGMENTS / 2 - 1]) {
    const [archive, sidecar] = [counting(store), counting(index)]
    const source = { store: archive.store, keys: builder.keys }
    const request = { source, index: sidecar.store, kind: 'event_id' as const, signal }
    const { rows, skipped } = await findEvent({ ...request, value: `event-${String(offset)}` })
    assert.deepEqual(rows.map(({ at, record }) => [at.partition, Number(record.offset)]).toSorted(), [
      [0, offset],
      [1, offset],
    ])
    assert.equal(skipped, 0)
    most = Math.max(most, archive.requests() + sidecar.requests())
  }
  t.diagnostic(`${String(SEGMENTS)} segments, at most ${String(most)} requests`)
  assert(most < REQUESTS_MAX, String(most))
})

test('a year is verified at levels 0 and 1 in little memory', (t) => {
  const now = new Date(builder.nowMs).toISOString()
  const given = ['verify', folder, '--key', path.join(base, 'archive.pub'), '--level', '1', '--now', now]
  const began = performance.now()
  const heap = `--max-old-space-size=${String(HEAP_MB)}`
  const { status, stdout, stderr } = spawnSync(process.execPath, [heap, CLI, ...given], { encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  t.diagnostic(`${String(Math.round(performance.now() - began))} ms with a heap of ${String(HEAP_MB)} MB`)
})

test('an index that is missing or damaged loses no event and invents none', async () => {
  const source = { store, keys: builder.keys }
  const request = { source, kind: 'event_id' as const, signal }
  const none = await findEvent({ ...request, index: { read: () => Promise.resolve(null) }, value: 'event-0' })
  assert.equal(none.skipped, SEGMENTS - 64, 'what was not looked into is said')
  assert.deepEqual((await findEvent({ ...request, index, value: 'nothing' })).rows, [])
  const below = path.join('runs', '0')
  const [first = ''] = (await readdir(path.join(index.location, below))).toSorted()
  const top = (await readdir(path.join(index.location, 'runs'))).toSorted().at(-1) ?? ''
  await remove(
    index.location,
    (await readdir(path.join(index.location, 'runs', top))).map((name) => path.join('runs', top, name)),
  )
  assert.equal(
    (await findEvent({ ...request, index, value: 'event-0' })).rows.length,
    2,
    'smaller runs stand in',
  )
  for (const level of (await readdir(path.join(index.location, 'runs'))).filter((name) => name !== '0'))
    await rm(path.join(index.location, 'runs', level), { recursive: true })
  await change(index.location, path.join(below, first), () => Buffer.from('x'))
  await assert.rejects(findEvent({ ...request, index, value: 'event-0' }), { code: 'ARCHIVE_INDEX_INVALID' })
})
