/**
 * Archivers whose key is replaced while they work: what they wrote before stays true, who lacks the new key waits and takes
 * part again when he has it, a signer that is silent delays the archive and loses nothing. Both verifiers judge the end.
 */
import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { openArchiveSigner } from '../../adapters/system/archive-signer.ts'
import type { Archiver, ArchiverConfig } from '../../archiver/archiver.ts'
import { createArchiver } from '../../archiver/create-archiver.ts'
import { believedKeys, readKeyChain } from '../../core/archive/key/read-key-chain.ts'
import { checkProof } from '../../core/archive/proof/check-proof.ts'
import { makeProof } from '../../core/archive/proof/make-proof.ts'
import { parseVerifierKey, type NoteSigner } from '../../core/archive/signed-note.ts'
import { NEVER } from '../../core/deadline.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { KeyCandidate, KeySource, Signer } from '../../core/ports/signer.ts'
import type { TopicPartition } from '../../core/ports/event-log.ts'
import { newSigner } from '../support/archive-keys.ts'
import { openStage, partitionOf, PREFIX, SETTINGS, type ArchiverStage } from '../support/archiver-stage.ts'
import { HandClock } from '../support/hand-clock.ts'
import { orSkip } from '../support/services/local-process.ts'
import { pythonOrReason } from '../support/services/python.ts'
import { judge } from '../support/two-verifiers.ts'

const MINUTE_MS = 60_000
const RECORDS = 5
const CONFIG: ArchiverConfig = {
  archive: { ...SETTINGS, roll: { ...SETTINGS.roll, recordsMax: RECORDS } },
  log: {
    ...{ kafka: null, topicPrefix: PREFIX, partitions: 1, retentionMs: 3_600_000 },
    disk: { capacityBytes: null, alarmRatio: 0.7, shedRatio: 0.9 },
  },
}

/** Keys that a test puts at hand. */
class HandKeys implements KeySource {
  readonly promoted: string[] = []
  candidates: readonly KeyCandidate[]

  constructor(...signers: readonly Signer[]) {
    this.candidates = signers.map((signer) => ({ signer, delegations: [] }))
  }

  read(): Promise<readonly KeyCandidate[]> {
    return Promise.resolve(this.candidates)
  }

  promote(vkey: string): Promise<void> {
    this.promoted.push(vkey)
    return Promise.resolve()
  }
}

interface Working {
  readonly stage: ArchiverStage
  readonly clock: HandClock
  readonly at: TopicPartition
}

async function begin(): Promise<Working & AsyncDisposable> {
  const stage = await openStage()
  const at = partitionOf(await stage.topic('hooktrail.events.keys'))
  return { stage, at, clock: new HandClock(), [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose]() }
}

/** @param pinned of which the archive must have one */
function archiverWith(
  { stage, clock }: Working,
  keySource: KeySource,
  [signer, ...pinned]: readonly [Signer, ...NoteSigner[]],
): Promise<Archiver> {
  const verifiers = [signer, ...pinned].map(({ vkey }) => parseVerifierKey(vkey))
  const spoolDirectory = path.join(stage.folder, 'spool')
  return createArchiver(
    CONFIG,
    stage.deps('a', { clock, deps: { signer, verifiers, keySource, spoolDirectory } }),
  )
}

/** One segment more, and a heartbeat that names it. */
async function round({ stage, clock, at }: Working, archiver: Archiver): Promise<void> {
  await stage.append(at, RECORDS)
  while (await archiver.archiveStep(NEVER));
  clock.advance(MINUTE_MS)
  assert.equal(await archiver.heartbeatStep(), 'signed')
}

/** Of both verifiers, for somebody who was given this key; null, and the test is skipped, without Python. */
async function judged(t: TestContext, { stage, clock }: Working, { vkey }: Signer) {
  const python = await orSkip(t, pythonOrReason())
  return python && judge({ python, folder: stage.directory, keys: [vkey], nowMs: clock.now() })
}

test('keys that are replaced while an archiver works leave one whole archive, in which old events stay proven', async (t) => {
  await using work = await begin()
  const [first, second, third] = [newSigner(), newSigner(), newSigner()]
  const keys = new HandKeys(first)
  const archiver = await archiverWith(work, keys, [first])
  await round(work, archiver)
  for (const [before, next] of [
    [first, second],
    [second, third],
  ] as const) {
    keys.candidates = new HandKeys(before, next).candidates
    await archiver.keyStep()
    assert.equal(keys.promoted.at(-1), next.vkey)
    keys.candidates = new HandKeys(next).candidates
    await archiver.keyStep()
    await round(work, archiver)
  }
  const pinned = [parseVerifierKey(first.vkey)]
  const source = { store: work.stage.store, keys: await believedKeys(work.stage.store, pinned) }
  for (const offset of [0n, BigInt(RECORDS), BigInt(2 * RECORDS)]) {
    const proof = await makeProof(source, { ...work.at, offset }, NEVER)
    assert.equal(checkProof(proof, pinned).record.offset, offset)
    assert.throws(() => checkProof(proof, [parseVerifierKey(newSigner().vkey)]))
  }
  const found = await judged(t, work, first)
  assert.deepEqual(found?.findings ?? [], [])
  assert.equal(found?.manifests ?? 3, 3)
})

test('a start after a crash behind the key note goes on with the new key', async (t) => {
  await using work = await begin()
  const [first, second] = [newSigner(), newSigner()]
  const keys = new HandKeys(first)
  await round(work, await archiverWith(work, keys, [first]))
  keys.candidates = new HandKeys(first, second).candidates
  // Nothing of the new key but its note: the process ends before anybody is told.
  await archiverWith(work, { read: () => keys.read(), promote: () => Promise.reject(new Error('killed')) }, [
    first,
  ]).catch(() => undefined)
  assert.equal((await readKeyChain(work.stage.store))?.newest.verifier.vkey, second.vkey)
  await round(work, await archiverWith(work, keys, [first]))
  assert.deepEqual(keys.promoted.at(-1), second.vkey)
  assert.deepEqual((await judged(t, work, second))?.findings ?? [], [])
})

test('an archiver without the new key commits nothing, says so, and goes on when it has it', async (t) => {
  await using work = await begin()
  const [first, second] = [newSigner(), newSigner()]
  const late = new HandKeys(first)
  const archiver = await archiverWith(work, late, [first])
  await round(work, archiver)
  await archiverWith(work, new HandKeys(first, second), [first])
  await work.stage.append(work.at, RECORDS)
  work.clock.advance(MINUTE_MS)
  await archiver.keyStep()
  const isRetired = (error: unknown): boolean => isHooktrailError(error, 'ARCHIVE_KEY_RETIRED')
  await assert.rejects(archiver.archiveStep(NEVER), isRetired)
  late.candidates = new HandKeys(second).candidates
  await archiver.keyStep()
  await round(work, archiver)
  const found = await judged(t, work, first)
  assert.deepEqual(found?.findings ?? [], [])
  assert.equal(found?.records ?? '15', '15')
})

/** `body` prints what it will; the key stays in its file. */
async function program(work: Working, signer: NoteSigner, body: string, timeoutMs = 60_000): Promise<Signer> {
  const file = path.join(work.stage.folder, 'sign.mjs')
  const pem = signer.privateKey.export({ type: 'pkcs8', format: 'pem' })
  await writeFile(path.join(work.stage.folder, 'kept.pem'), pem)
  await writeFile(
    file,
    `import { readFileSync } from 'node:fs'
import { sign } from 'node:crypto'
const message = readFileSync(0)
const key = readFileSync(new URL('kept.pem', import.meta.url), 'utf8')
const signature = () => sign(null, message, key)
${body}`,
  )
  await chmod(file, 0o700)
  const run = { program: process.execPath, arguments: [file], timeoutMs }
  return openArchiveSigner({ kind: 'sign', run, vkey: signer.vkey }, 'archive.signing_key')
}

test('a program that signs, in each spelling of a signature, makes the archive that a key in the process makes', async (t) => {
  for (const body of [
    'process.stdout.write(signature())',
    "console.log(signature().toString('hex'))",
    "console.log('vault:v3:' + signature().toString('base64'))",
  ]) {
    await using work = await begin()
    const key = newSigner()
    const signer = await program(work, key, body)
    await round(work, await archiverWith(work, new HandKeys(signer), [signer]))
    const found = await judged(t, work, key)
    assert.deepEqual(found?.findings ?? [], [])
  }
})

test('a program that fails, is silent or signs something else delays the archive; what it prints is not told', async (t) => {
  await using work = await begin()
  const key = newSigner()
  const sound = await program(work, key, 'process.stdout.write(signature())')
  const archiver = await archiverWith(work, new HandKeys(sound), [sound])
  await round(work, archiver)
  await work.stage.append(work.at, RECORDS)
  for (const [body, reason] of [
    ["console.log(key); console.error('no session'); process.exit(3)", /exit 3: no session/],
    ['console.error(key); process.exit(1)', /what it says holds a key/],
    ['console.log(key)', /no Ed25519 signature/],
    ["process.stdout.write(sign(null, Buffer.from('else'), key))", /does not fit its public key/],
  ] as const) {
    await program(work, key, body)
    await archiver.archiveStep(NEVER)
    const { waitsFor } = archiver.status()
    assert.match(waitsFor ?? '', reason)
    assert.doesNotMatch(waitsFor ?? '', /PRIVATE/)
    work.clock.advance(MINUTE_MS)
  }
  const silent = await program(work, key, 'setInterval(() => {}, 1_000)', 200)
  await assert.rejects(silent.sign(Buffer.from('x')), (error) =>
    isHooktrailError(error, 'ARCHIVE_SIGNER_FAILED'),
  )
  await program(work, key, 'process.stdout.write(signature())')
  await round(work, archiver)
  const found = await judged(t, work, key)
  assert.equal(found?.exitCode ?? 0, 0)
  assert.equal(found?.records ?? '15', '15')
})
