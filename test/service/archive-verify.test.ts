/** Every way to damage, shorten or extend a small true archive, with the exit code and the object that is named. */
import assert from 'node:assert/strict'
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import type { Checkpoint } from '../../core/archive/verify/checkpoint.ts'
import { verifyArchive } from '../../core/archive/verify/verify-archive.ts'
import type { VerifyLevel } from '../../core/archive/verify/verify-context.ts'
import type { VerifyReport } from '../../core/archive/verify/verify-report.ts'
import { ArchiveBuilder } from '../support/archive-builder.ts'

let base = ''
let builder: ArchiveBuilder
let early: Checkpoint | null = null
const segments: { manifest: string; data: string }[] = []
const heartbeats: string[] = []

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'archive-verify-'))
  builder = await ArchiveBuilder.create(path.join(base, 'true'))
  for (let round = 0; round < 6; round++) {
    segments.push(await builder.addSegment(0, 20))
    if (round % 2 === 0) segments.push(await builder.addSegment(1, 5))
    heartbeats.push(await builder.addHeartbeat())
  }
  early = (await verifyCopy(path.join(base, 'true'))).checkpoint
  assert(early !== null)
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

interface VerifyOptions {
  readonly checkpoint?: Checkpoint | null
  readonly nowMs?: number
  readonly level?: VerifyLevel
  readonly pinned?: boolean
}

async function verifyCopy(folder: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  return verifyArchive({
    store: await openDirectoryForReading(folder),
    keys: options.pinned === false ? null : builder.keys,
    nowMs: options.nowMs ?? builder.nowMs,
    checkpoint: options.checkpoint ?? null,
    level: options.level ?? 2,
    signal: new AbortController().signal,
  })
}

let copies = 0

async function copy(): Promise<string> {
  copies += 1
  const folder = path.join(base, `copy-${String(copies)}`)
  await cp(path.join(base, 'true'), folder, { recursive: true })
  return folder
}

async function remove(folder: string, ...keys: string[]): Promise<void> {
  for (const key of keys) await rm(path.join(folder, key))
}

/** Flips one bit somewhere in the middle of the object. */
async function flip(folder: string, key: string, at = 0.5): Promise<void> {
  const file = path.join(folder, key)
  const bytes = await readFile(file)
  const position = Math.floor(bytes.length * at)
  bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position)
  await chmod(file, 0o644)
  await writeFile(file, bytes)
}

async function swap(folder: string, a: string, b: string): Promise<void> {
  const third = path.join(folder, 'swap')
  await rename(path.join(folder, a), third)
  await rename(path.join(folder, b), path.join(folder, a))
  await rename(third, path.join(folder, b))
}

function segment(index: number): { manifest: string; data: string } {
  const found = segments[index]
  assert(found !== undefined)
  return found
}

function heartbeat(index: number): string {
  const found = heartbeats.at(index)
  assert(found !== undefined)
  return found
}

function assertNamed(report: VerifyReport, exitCode: number, object: string): void {
  assert.equal(report.exitCode, exitCode, JSON.stringify(report.findings, null, 1))
  assert(
    report.findings.some((finding) => finding.object === object),
    JSON.stringify(report.findings, null, 1),
  )
}

test('a true archive is complete and intact at every level', async () => {
  for (const level of [0, 1, 2] as const) {
    const report = await verifyCopy(path.join(base, 'true'), { level, checkpoint: early })
    assert.deepEqual(report.findings, [])
    assert.equal(report.exitCode, 0)
    assert.equal(report.records, '135')
    assert.equal(report.heartbeats, 6)
  }
})

test('without a pinned key a true archive is only self-consistent', async () => {
  const report = await verifyCopy(path.join(base, 'true'), { pinned: false })
  assert.equal(report.exitCode, 64)
  assert.equal(report.authenticated, false)
})

test('a flipped bit anywhere is found and named', async () => {
  const victims = [
    ...segments.flatMap((one) => [one.manifest, one.data]),
    ...heartbeats,
    'genesis.note',
    'README.txt',
  ]
  for (const [index, key] of victims.entries()) {
    const folder = await copy()
    await flip(folder, key, ((index * 37) % 100) / 100)
    assertNamed(await verifyCopy(folder), 1, key)
    await rm(folder, { recursive: true })
  }
})

test('any single object that is missing is named', async () => {
  const last = heartbeat(-1)
  const victims = [
    ...segments.flatMap((one) => [one.manifest, one.data]),
    ...heartbeats,
    'genesis.note',
    'README.txt',
  ]
  for (const key of victims.filter((one) => one !== last)) {
    const folder = await copy()
    await remove(folder, key)
    assertNamed(await verifyCopy(folder), 1, key)
    await rm(folder, { recursive: true })
  }
})

test('two data objects, manifests or heartbeats that changed places are named', async () => {
  const pairs: [string, string][] = [
    [segment(0).data, segment(2).data],
    [segment(0).manifest, segment(2).manifest],
    [heartbeat(1), heartbeat(2)],
  ]
  for (const [a, b] of pairs) {
    const folder = await copy()
    await swap(folder, a, b)
    const report = await verifyCopy(folder)
    assertNamed(report, 1, a)
    assertNamed(report, 1, b)
  }
})

test('an object that nothing signed leads to is foreign', async () => {
  const foreign = [
    'notes.txt',
    'genesis2.note',
    'heartbeats/00000000/000000000099.txt',
    'heartbeats/extra.note',
    segment(0).manifest.replace('.note', '.txt'),
    segment(0).data.replace(/[0-9]{20}/, '00000000000000000999'),
    segment(0).data.replace(/[0-9]{20}/, '00000000000000000001'),
    segment(0).data.replace('hour=00', 'hour=01'),
    'data/topic=other/x.jsonl.zst',
    'segments/odd name/x.note',
    'tlog/tile/0',
  ]
  for (const key of foreign) {
    const folder = await copy()
    await mkdir(path.dirname(path.join(folder, key)), { recursive: true })
    await writeFile(path.join(folder, key), 'x')
    assertNamed(await verifyCopy(folder), 1, key)
  }
})

test('a true manifest under a second name is foreign', async () => {
  const folder = await copy()
  const key = segment(0).manifest.replace(/[0-9]{20}/, '00000000000000000003')
  await cp(path.join(folder, segment(0).manifest), path.join(folder, key))
  assertNamed(await verifyCopy(folder), 1, key)
})

test('a genesis of another archive under the same key contradicts the first heartbeat', async () => {
  const folder = await copy()
  const second = await ArchiveBuilder.create(path.join(base, 'second'))
  await rm(path.join(folder, 'genesis.note'))
  await cp(path.join(base, 'second', 'genesis.note'), path.join(folder, 'genesis.note'))
  const report = await verifyArchive({
    store: await openDirectoryForReading(folder),
    keys: [...builder.keys, ...second.keys],
    nowMs: builder.nowMs,
    level: 0,
    signal: new AbortController().signal,
  })
  assertNamed(report, 1, heartbeat(0))
})

/** Everything that came with the last two heartbeats: rounds 4 and 5. */
const TAIL = { heartbeats: 2, segments: 3 }

test('a tail cut consistently is exit 3 with a checkpoint, and without one once the cadence has passed', async () => {
  const folder = await copy()
  await remove(folder, ...heartbeats.slice(-TAIL.heartbeats))
  for (const one of segments.slice(-TAIL.segments)) await remove(folder, one.manifest, one.data)
  assert.equal((await verifyCopy(folder)).exitCode, 0)
  const compared = await verifyCopy(folder, { checkpoint: early })
  assertNamed(compared, 3, 'heartbeat 5')
  const later = builder.nowMs + 2 * 900_000
  assertNamed(await verifyCopy(folder, { nowMs: later }), 3, 'heartbeat 3')
  assert.equal((await verifyCopy(folder, { nowMs: later, pinned: false })).exitCode, 3)
})

test('only the manifests or only the data of the tail cut is exit 1', async () => {
  for (const kind of ['manifest', 'data'] as const) {
    const folder = await copy()
    const keys = segments.slice(-TAIL.segments).map((one) => one[kind])
    await remove(folder, ...keys)
    for (const key of keys) assertNamed(await verifyCopy(folder), 1, key)
    const without = await copy()
    await remove(without, ...keys, ...heartbeats.slice(-TAIL.heartbeats))
    assert.equal((await verifyCopy(without, { checkpoint: early })).exitCode, 1, kind)
  }
})

test('heartbeats cut alone leave an unwitnessed tail that a checkpoint tells from a young one', async () => {
  const folder = await copy()
  await remove(folder, ...heartbeats.slice(-TAIL.heartbeats))
  const report = await verifyCopy(folder)
  assert.equal(report.exitCode, 0)
  assert.equal(report.unwitnessedManifests, TAIL.segments)
  assertNamed(await verifyCopy(folder, { checkpoint: early }), 3, 'heartbeat 5')
})

test('data written just before a crash waits for its manifest without alarm', async () => {
  const folder = await copy()
  await remove(folder, ...heartbeats.slice(-1), segment(8).manifest)
  const report = await verifyCopy(folder)
  assert.equal(report.exitCode, 0, JSON.stringify(report.findings))
  assert(report.findings.some(({ code, object }) => code === 'orphan' && object === segment(8).data))
})

test('a partition whose manifests are all gone is exit 1 even without any heartbeat', async () => {
  const folder = await copy()
  const own = segments.filter(({ manifest }) => manifest.includes('p00001'))
  await remove(folder, ...heartbeats, ...own.map(({ manifest }) => manifest))
  const last = own.at(-1)
  assert(last !== undefined)
  assertNamed(await verifyCopy(folder), 1, last.data)
})

test('a declared loss is exit 2 and housekeeping gaps are none', async () => {
  for (const [reason, exitCode] of [
    ['retention-loss', 2],
    ['control', 0],
  ] as const) {
    const other = await ArchiveBuilder.create(path.join(base, `gaps-${reason}`))
    const { manifest } = await other.addSegment(0, 3, [{ from: '3', to: '9', reason }])
    await other.addSegment(0, 2)
    await other.addHeartbeat()
    const report = await verifyArchive({
      store: other.store,
      keys: other.keys,
      nowMs: other.nowMs,
      level: 2,
      signal: new AbortController().signal,
    })
    assert.equal(report.exitCode, exitCode, JSON.stringify(report.findings))
    assert.equal(
      report.findings.some(({ object }) => object === manifest),
      exitCode === 2,
    )
  }
})
