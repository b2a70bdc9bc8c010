/**
 * Archives whose keys were replaced, judged by both verifiers: with a root key and without, true ones and those in which
 * somebody who has a key, or writes the store, reaches for more. What is wrong is named by its object.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import { believedKeys } from '../../core/archive/key/read-key-chain.ts'
import { makeProof } from '../../core/archive/proof/make-proof.ts'
import { parseVerifierKey, type NoteSigner } from '../../core/archive/signed-note.ts'
import { ArchiveBuilder, TOPIC_ID } from '../support/archive-builder.ts'
import { delegationBy, newSigner } from '../support/archive-keys.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { forge, put, remove, swap } from '../support/tampering.ts'
import { judge } from '../support/two-verifiers.ts'

const HOUR_MS = 3_600_000
const [KEY_0, KEY_1, KEY_2] = [
  'keys/000000000000.note',
  'keys/000000000001.note',
  'keys/000000000002.note',
] as const

let base: string

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'archive-keys-'))
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

interface Rotated {
  readonly folder: string
  readonly builder: ArchiveBuilder
  readonly root: NoteSigner | null
  /** In their order. */
  readonly signers: readonly [NoteSigner, NoteSigner, NoteSigner]
}

/** Three keys, each with a segment and a heartbeat. */
async function rotatedTwice(root: NoteSigner | null = newSigner()): Promise<Rotated> {
  const folder = await mkdtemp(path.join(base, 'archive-'))
  const signers = [newSigner(), newSigner(), newSigner()] as const
  const builder = await ArchiveBuilder.create(folder, { signer: signers[0], root })
  await round(builder)
  for (const signer of signers.slice(1)) {
    await builder.rotate(signer)
    await round(builder)
  }
  return { folder, builder, root, signers: [...signers] }
}

async function round(
  builder: ArchiveBuilder,
): Promise<{ readonly manifest: string; readonly heartbeat: string }> {
  const { manifest } = await builder.addSegment(0, 2)
  return { manifest, heartbeat: await builder.addHeartbeat() }
}

/** Null, and the test is skipped, where there is no Python with its packages. */
async function judging(t: TestContext) {
  const python = await orSkip(t, pythonOrReason())
  if (python === null) return null
  return ({ folder, builder, root, signers }: Rotated, keys = [(root ?? signers[0]).vkey]) =>
    judge({ python, folder, keys, nowMs: builder.nowMs })
}

/** @returns whom both name as altered, where the exit code is that */
async function alteredOf(t: TestContext, archive: Rotated): Promise<readonly string[] | null> {
  const judged = await judging(t)
  if (judged === null) return null
  const { exitCode, findings } = await judged(archive)
  assert.equal(exitCode, 1, findings.join('\n'))
  return findings.filter((finding) => finding.startsWith('altered ')).map((finding) => finding.slice(8))
}

test('an archive that was rotated twice is whole for whoever was given its root or any of its keys', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  for (const root of [newSigner(), null]) {
    const archive = await rotatedTwice(root)
    for (const { vkey } of [...archive.signers, ...(root === null ? [] : [root])])
      assert.deepEqual((await judged(archive, [vkey])).findings, [])
    assert.equal((await judged(archive, [newSigner().vkey])).exitCode, 64)
  }
})

test('a key note that is gone, or changed its place, is named', async (t) => {
  for (const [damage, named] of [
    [(folder: string) => remove(folder, [KEY_0]), KEY_0],
    [(folder: string) => remove(folder, [KEY_1]), KEY_1],
    [(folder: string) => remove(folder, [KEY_0, KEY_1]), KEY_1],
    [(folder: string) => swap(folder, KEY_0, KEY_1), KEY_0],
    [(folder: string) => put(folder, 'keys/note', 'x'), 'keys/note'],
  ] as const) {
    const archive = await rotatedTwice()
    await damage(archive.folder)
    const altered = await alteredOf(t, archive)
    assert(altered === null || altered.includes(named), `${named}: ${String(altered)}`)
  }
})

test('a key note with another date is named, signed again or not', async (t) => {
  const backdate = (text: string): string =>
    text.replace(/"created_at":"[^"]+"/, '"created_at":"2026-01-01T00:00:00.000Z"')
  const loose = await rotatedTwice()
  await forge(loose.folder, KEY_1, backdate)
  const alone = await rotatedTwice()
  await forge(alone.folder, KEY_1, backdate, alone.signers[2])
  for (const archive of [loose, alone]) {
    const altered = await alteredOf(t, archive)
    assert(altered === null || altered.includes(KEY_1), String(altered))
  }
})

test('where there is a root the stolen key alone brings no other key into force; without one it does', async (t) => {
  const thief = newSigner()
  for (const root of [newSigner(), null]) {
    const archive = await rotatedTwice(root)
    const { builder, signers, folder } = archive
    // His own root says what the true one does not.
    await builder.rotate(thief)
    if (root !== null) {
      const forged = delegationBy(thief, { key: thief.vkey, replaces: signers[2].vkey })
      await forge(folder, KEY_2, (text) => withDelegation(text, forged), thief)
    }
    await round(builder)
    const judged = await judging(t)
    if (judged === null) return
    const { exitCode, findings } = await judged(archive)
    assert.equal(exitCode, root === null ? 0 : 1)
    assert(root === null || findings.includes(`altered ${KEY_2}`), findings.join('\n'))
  }
})

function withDelegation(text: string, delegation: string): string {
  return `${JSON.stringify({ ...JSON.parse(text), delegation })}\n`
}

test('the key before must agree, unless the root says why it cannot', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  for (const reason of [null, 'the machine was stolen']) {
    const archive = await rotatedTwice()
    const next = newSigner()
    await archive.builder.rotate(next, { signers: [next], ...(reason === null ? {} : { reason }) })
    await round(archive.builder)
    const { exitCode, findings } = await judged(archive)
    assert.equal(exitCode, reason === null ? 1 : 0)
    assert.equal(findings.includes(`altered ${KEY_2}`), reason === null)
  }
})

test('a key that signed before does not come back', async (t) => {
  const archive = await rotatedTwice()
  await archive.builder.rotate(archive.signers[0])
  await round(archive.builder)
  const altered = await alteredOf(t, archive)
  assert(altered === null || altered.includes(KEY_2), String(altered))
})

test('a heartbeat of a key that was replaced is named, also where it forgets the key note', async (t) => {
  const archive = await rotatedTwice()
  const { builder, signers } = archive
  builder.signer = signers[1]
  const { heartbeat } = await round(builder)
  const altered = await alteredOf(t, archive)
  assert.deepEqual(altered, altered && [heartbeat])
})

test('manifests of a key that was replaced are taken for an hour, and no longer', async (t) => {
  const judged = await judging(t)
  if (judged === null) return
  for (const [waitMs, exitCode] of [
    [0, 0],
    [2 * HOUR_MS, 1],
  ] as const) {
    for (const isNamed of [true, false]) {
      const archive = await rotatedTwice()
      const { builder, signers } = archive
      builder.nowMs += waitMs
      await builder.addHeartbeat()
      builder.signer = signers[1]
      const { manifest } = await builder.addSegment(0, 2)
      builder.signer = signers[2]
      if (isNamed) await builder.addHeartbeat()
      const { exitCode: found, findings } = await judged(archive)
      assert.equal(found, exitCode)
      if (exitCode === 1) assert(findings.includes(`altered ${manifest}`), findings.join('\n'))
    }
  }
})

test('what a key signs after its end is named, and an hour is given to clocks', async (t) => {
  const archive = await rotatedTwice()
  const { builder } = archive
  const until = new Date(builder.nowMs).toISOString()
  await builder.rotate(newSigner(), { until })
  await round(builder)
  const judged = await judging(t)
  if (judged === null) return
  assert.equal((await judged(archive)).exitCode, 0)
  builder.nowMs += 2 * HOUR_MS
  const { heartbeat } = await round(builder)
  const altered = await alteredOf(t, archive)
  assert.deepEqual(altered, altered && [heartbeat])
})

test('the word of the root is for one archive and one place', async (t) => {
  for (const said of [{ archive_id: 'another' }, { replaces: newSigner().vkey }, { key: newSigner().vkey }]) {
    const root = newSigner()
    const archive = await rotatedTwice(root)
    const { builder, folder, signers } = archive
    const next = newSigner()
    await builder.rotate(next)
    const wrong = delegationBy(root, { key: next.vkey, replaces: signers[2].vkey, ...said, reason: 'lost' })
    await forge(folder, KEY_2, (text) => withDelegation(text, wrong), next)
    await round(builder)
    const altered = await alteredOf(t, archive)
    assert(altered === null || altered.includes(KEY_2), String(altered))
  }
})

test('the script of docs/auditor.md proves an event of any key by the root, or the first key, alone', async (t) => {
  const python = await orSkip(t, pythonOrReason())
  if (python === null) return
  const page = await readFile(new URL('../../docs/auditor.md', import.meta.url), 'utf8')
  const [, script] = /```python\n([^`]+)```/.exec(page) ?? []
  await writeFile(path.join(base, 'check_proof.py'), script ?? '')
  for (const root of [newSigner(), null]) {
    const { folder, signers } = await rotatedTwice(root)
    const pinned = (root ?? signers[0]).vkey
    const store = await openDirectoryForReading(folder)
    const source = { store, keys: await believedKeys(store, [parseVerifierKey(pinned)]) }
    for (const offset of [0n, 5n]) {
      const place = { topic: 'hooktrail.events.demo', topicId: TOPIC_ID, partition: 0, offset }
      await writeFile(
        path.join(base, 'proof.json'),
        JSON.stringify(await makeProof(source, place, new AbortController().signal)),
      )
      const run = async (vkey: string): Promise<string> => {
        await writeFile(path.join(base, 'archive.pub'), `${vkey}\n`)
        const given = ['check_proof.py', 'proof.json', 'archive.pub']
        return spawnSync(python.path, given, { cwd: base, encoding: 'utf8' }).stdout
      }
      assert.equal(await run(pinned), `proven: hooktrail.events.demo 0 ${String(offset)} in test-archive\n`)
      assert.equal(await run(newSigner().vkey), '')
    }
  }
})
