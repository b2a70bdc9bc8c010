/**
 * The product's verifier and the independent one in Python judge true archives alike, at every level and against everything
 * that somebody kept: the exit code, what is named, what was counted. Damaged ones: archive-tamperings.test.ts.
 */
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { parseHeartbeat } from '../../core/archive/documents.ts'
import { checkpointText, treeOfHeartbeat } from '../../core/archive/tree/tree-checkpoint.ts'
import { readNoteUnverified, signNote } from '../../core/archive/signed-note.ts'
import { newSigner } from '../support/archive-keys.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { RECORDS, SmallArchive } from '../support/small-archive.ts'
import { change, flipped, remove } from '../support/tampering.ts'
import { runVerifier } from '../support/python-verifier.ts'
import { judge, type Judgement, type JudgeRequest } from '../support/two-verifiers.ts'

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
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), { ...checkpoint, level: 2 })
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
    const found = await judged(archive.folder, {
      keptTree: signNote(checkpointText(wrong), signer).toString(),
    })
    assert.deepEqual([found.exitCode, found.findings], [1, ['altered checkpoint']])
  }
  const foreign = signNote(checkpointText(tree), newSigner()).toString()
  assert.equal((await judged(archive.folder, { keptTree: foreign })).exitCode, 66)
})

test('both verifiers read no content again that the run of the checkpoint has read, and all of what came since', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  const checkpoint = { ...archive.checkpoint, level: 2 as const }
  const short = {
    ...checkpoint,
    heads: checkpoint.heads.map((head) => (head.partition === 0 ? { ...head, next: '41' } : head)),
  }
  const { data: old } = archive.segment(0)
  const { data: young } = archive.segment(-1)
  const folder = await archive.copy()
  await change(folder, old, (bytes) => flipped(bytes, 0.5))
  const rested = await judged(folder, { checkpoint, isIncremental: true })
  assert.deepEqual([rested.exitCode, rested.findings], [0, ['note checkpoint']], 'this is what it rests on')
  assert.equal((await judged(folder, { checkpoint })).exitCode, 1)
  await change(folder, young, (bytes) => flipped(bytes, 0.5))
  const since = await judged(folder, { checkpoint: short, isIncremental: true })
  assert.deepEqual([since.exitCode, since.findings], [1, [`altered ${young}`, 'note checkpoint']])
  for (const edit of [(bytes: Buffer) => bytes.subarray(1), null]) {
    const gone = await archive.copy()
    if (edit === null) await remove(gone, [old])
    else await change(gone, old, edit)
    const found = await judged(gone, { checkpoint, isIncremental: true })
    assert.deepEqual([found.exitCode, found.findings], [1, [`altered ${old}`, 'note checkpoint']])
  }
  for (const level of [0, 1] as const)
    assert.equal(
      (await judged(folder, { checkpoint: { ...checkpoint, level }, isIncremental: true })).exitCode,
      66,
    )
  assert.equal((await judged(folder, { isIncremental: true })).exitCode, 66)
})
