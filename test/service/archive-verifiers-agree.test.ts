/**
 * The product's verifier and the independent one in Python judge the same archives, whole and damaged in every way that
 * somebody who can write the folder has, and never differ: in the exit code, in what is named, in what was counted.
 */
import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { parseHeartbeat, parseManifest } from '../../core/archive/documents.ts'
import { SEGMENT_FORMATS } from '../../core/archive/manifest.ts'
import { signCheckpoint, treeOfHeartbeat } from '../../core/archive/tree/tree-checkpoint.ts'
import { readNoteUnverified } from '../../core/archive/signed-note.ts'
import { ArchiveBuilder, newSigner } from '../support/archive-builder.ts'
import { TAMPERINGS } from '../support/archive-tamperings.ts'
import { scale } from '../support/scale.ts'
import { seededRandom } from '../support/seeded-random.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { RECORDS, ROUNDS, SmallArchive } from '../support/small-archive.ts'
import { change, flipped, forge, put, remove } from '../support/tampering.ts'
import { runVerifier } from '../support/python-verifier.ts'
import { judge, type Judgement, type JudgeRequest } from '../support/two-verifiers.ts'

/** Of the rounds that a second history under the same key shares with the first. */
const ROUNDS_SHARED = 2
const SEGMENTS_SHARED = 3
const SEED = 20_260_101
const UNPROVEN =
  '"worm":{"checked_at":"2026-01-01T00:00:00.000Z","checks":{},"holds":null,"policy":null,"result":"unproven"}'

let archive: SmallArchive

before(async () => {
  archive = await SmallArchive.make()
})

after(async () => {
  await archive[Symbol.asyncDispose]()
})

/** Null, and the test is skipped, where there is no Python with its packages. */
async function judging(
  t: TestContext,
): Promise<((folder: string, options?: Partial<JudgeRequest>) => Promise<Judgement>) | null> {
  const python = await orSkip(t, pythonOrReason())
  if (python === null) return null
  const { signer, nowMs } = archive.builder
  return (folder, options = {}) => judge({ python, folder, keys: [signer.vkey], nowMs, ...options })
}

for (const { how, damage, exitCode, object, options } of TAMPERINGS) {
  test(`both verifiers say the same of ${how}`, async (t) => {
    const judged = await judging(t)
    if (judged === null) return
    const folder = await archive.copy()
    await damage(archive, folder)
    const { exitCode: found, findings } = await judged(folder, options?.(archive))
    assert.equal(found, exitCode, findings.join('\n'))
    const named = object(archive)
    assert(
      findings.some((finding) => finding.endsWith(` ${named}`)),
      `${named} is not among ${findings.join(', ')}`,
    )
    await rm(folder, { recursive: true })
  })
}

test('both verifiers find a true archive whole at every level, and count the same', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  const { folder, base, checkpoint } = archive
  for (const level of [0, 1, 2] as const) {
    const { exitCode, records, findings } = await judged(folder, { level, checkpoint })
    assert.deepEqual({ exitCode, records, findings }, { exitCode: 0, records: String(RECORDS), findings: [] })
  }
  assert.equal((await judged(folder, { keys: null })).exitCode, 64)
  assert.equal((await judged(folder, { keys: [newSigner().vkey] })).exitCode, 64)
  await mkdir(path.join(base, 'empty'))
  assert.equal((await judged(path.join(base, 'empty'))).exitCode, 66)
  assert.equal((await judged(path.join(base, 'nowhere'))).exitCode, 66)
})

for (const format of SEGMENT_FORMATS) {
  test(`both verifiers judge ${format} alike: whole, with a changed byte, with another row under a true hash`, async (t) => {
    const judged = await judging(t)
    if (judged === null) return
    await using other = await SmallArchive.make({ format })
    const options = { keys: [other.builder.signer.vkey] }
    const whole = await judged(other.folder, options)
    assert.deepEqual([whole.exitCode, whole.records, whole.findings], [0, String(RECORDS), []])
    const [changed, lying] = [await other.copy(), await other.copy()]
    const { data, manifest } = other.segment(0)
    await change(changed, data, (bytes) => flipped(bytes, 0.7))
    assertOnly(await judged(changed, options), data)
    const { merkle_root: root } = parseManifest(
      readNoteUnverified(await readFile(path.join(lying, manifest))),
    )
    const wrong = (text: string): string => text.replace(root, 'ab'.repeat(32))
    await forge(lying, manifest, wrong, other.builder.signer)
    const { exitCode, findings } = await judged(lying, options)
    assert.equal(exitCode, 1)
    assert(findings.includes(`altered ${data}`), findings.join(', '))
  })
}

function assertOnly({ exitCode, findings }: Judgement, data: string): void {
  assert.deepEqual({ exitCode, findings }, { exitCode: 1, findings: [`altered ${data}`] })
}

for (const whose of ['own', 'other'] as const) {
  test(`both verifiers say the same of a suffix that was replaced under the ${whose} key`, async (t) => {
    const judged = await judging(t)
    if (judged === null) return
    const isOwn = whose === 'own'
    const signer = isOwn ? archive.builder.signer : newSigner()
    await using second = await SmallArchive.make({
      signer,
      records: (round) => (round < ROUNDS_SHARED ? 20 : 19),
    })
    const folder = await archive.copy()
    await remove(folder, Object.values(archive.tail(ROUNDS - ROUNDS_SHARED)).flat())
    const suffix = [
      ...second.segments.slice(SEGMENTS_SHARED).flatMap(({ manifest, data }) => [manifest, data]),
      ...second.heartbeats.slice(ROUNDS_SHARED),
    ]
    for (const key of suffix) await put(folder, key, await readFile(path.join(second.folder, key)))
    assert.equal((await judged(folder)).exitCode, isOwn ? 0 : 1)
    const { exitCode, findings } = await judged(folder, { checkpoint: archive.checkpoint })
    assert.equal(exitCode, 1)
    const named = isOwn ? `heartbeat ${String(ROUNDS - 1)}` : archive.heartbeat(-1)
    assert(findings.includes(`altered ${named}`), findings.join(', '))
  })
}

test('both verifiers say the same of declared gaps and of a lock that is not in force', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  for (const [reason, exitCode] of [
    ['retention-loss', 2],
    ['hole', 2],
    ['compacted', 0],
  ] as const) {
    const folder = path.join(archive.base, `gaps-${reason}`)
    const other = await ArchiveBuilder.create(folder)
    await other.addSegment(0, 3, [{ from: '3', to: '9', reason }])
    await other.addSegment(0, 2)
    await other.addHeartbeat()
    assert.equal((await judged(folder, { keys: [other.signer.vkey] })).exitCode, exitCode)
  }
  const folder = await archive.copy()
  const unproven = (text: string): string => text.replace('"worm":"off"', UNPROVEN)
  await forge(folder, archive.heartbeat(-1), unproven, archive.builder.signer)
  assert.equal((await judged(folder)).exitCode, 4)
})

test('no change of a single byte anywhere below an archive escapes either verifier', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  const random = seededRandom(SEED)
  const folder = await archive.copy()
  const keys = await keysBelow(folder)
  for (let round = 0; round < scale.archiveFlips; round++) {
    const key = keys[Math.floor(random() * keys.length)]
    assert(key !== undefined)
    const original = await readFile(path.join(folder, key))
    const [at, mask] = [random(), 1 + Math.floor(random() * 255)]
    await change(folder, key, (bytes) => flipped(bytes, at, mask))
    const said: Judgement = await judged(folder)
    const what = `seed ${String(SEED)}, round ${String(round)}: ${key} at ${String(at)} with ${String(mask)}`
    assert.equal(said.exitCode, 1, what)
    assert(said.findings.includes(`altered ${key}`), what)
    await change(folder, key, () => original)
  }
  t.diagnostic(`${String(scale.archiveFlips)} changed bytes, each found by both (seed ${String(SEED)})`)
})

async function keysBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .toSorted()
}

test('the independent verifier prints its verdict and keeps a checkpoint that both take', async (t) => {
  const python = await orSkip(t, pythonOrReason())
  if (python === null) return
  const { base, builder, folder, checkpoint } = archive
  const [key, file] = [path.join(base, 'archive.pub'), path.join(base, 'kept.json')]
  await writeFile(key, `# of the archive\n${builder.signer.vkey}\n`)
  const now = new Date(builder.nowMs).toISOString()
  const { status, stdout, stderr } = await runVerifier(python, [
    ...[folder, '--key', key, '--now', now],
    ...['--write-checkpoint', file],
  ])
  assert.equal(status, 0, stderr)
  assert.match(stdout, /^complete and intact \(exit 0\)\n.*\n90 records in 6 segments, 4 heartbeats/)
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), checkpoint)
  assert.equal((await runVerifier(python, ['--level', '7'])).status, 64)
})

test('both verifiers hold an archive against a checkpoint that was pushed', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  const { signer } = archive.builder
  const last = parseHeartbeat(
    readNoteUnverified(await readFile(path.join(archive.folder, archive.heartbeat(-1)))),
  )
  const tree = treeOfHeartbeat(last)
  const keptTree = last.checkpoint ?? ''
  assert.equal((await judged(archive.folder, { keptTree })).exitCode, 0)
  const short = await archive.copy()
  await remove(short, Object.values(archive.tail(1)).flat())
  const cut = await judged(short, { keptTree })
  assert.deepEqual([cut.exitCode, cut.findings], [3, ['stale checkpoint']])
  for (const wrong of [
    { ...tree, root: 'ab'.repeat(32) },
    { ...tree, size: tree.size - 1n, root: 'ab'.repeat(32) },
    { ...tree, archiveId: 'another' },
    { ...tree, size: 1n },
  ]) {
    const found = await judged(archive.folder, { keptTree: signCheckpoint(wrong, signer) })
    assert.deepEqual([found.exitCode, found.findings], [1, ['altered checkpoint']])
  }
  const foreign = signCheckpoint(tree, newSigner())
  assert.equal((await judged(archive.folder, { keptTree: foreign })).exitCode, 66)
})
