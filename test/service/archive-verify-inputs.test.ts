/** Inputs that do not belong together: a key that is not the archive's, a folder that holds none. */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { openDirectoryForReading } from '../../adapters/directory/directory-store.ts'
import { verifyArchive } from '../../core/archive/verify/verify-archive.ts'
import type { VerifyReport } from '../../core/archive/verify/verify-report.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { ArchiveBuilder } from '../support/archive-builder.ts'

let base = ''
let ours: ArchiveBuilder
let theirs: ArchiveBuilder

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'archive-inputs-'))
  ours = await buildArchive('ours')
  theirs = await buildArchive('theirs')
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

async function buildArchive(name: string): Promise<ArchiveBuilder> {
  const builder = await ArchiveBuilder.create(path.join(base, name))
  await builder.addSegment(0, 3)
  await builder.addHeartbeat()
  return builder
}

async function verifyWithOurKey(name: string): Promise<VerifyReport> {
  return verifyArchive({
    store: await openDirectoryForReading(path.join(base, name)),
    keys: ours.keys,
    nowMs: ours.nowMs,
    level: 2,
    signal: new AbortController().signal,
  })
}

/** Name and id, the first two parts of the public key's line. */
function idOf({ signer }: ArchiveBuilder): string {
  return signer.vkey.split('+').slice(0, 2).join('+')
}

function findsGenesis({ exitCode, findings }: VerifyReport): boolean {
  return exitCode === 1 && findings.some(({ object }) => object === 'genesis.note')
}

test('an archive that is whole under another key is told from a damaged one, and both keys are named', async () => {
  await assert.rejects(verifyWithOurKey('theirs'), (error) => {
    assert(isHooktrailError(error, 'ARCHIVE_OTHER_KEY'))
    assert.deepEqual(error.details, { signed_by: idOf(theirs), given: [idOf(ours)] })
    return true
  })
})

test('a genesis under another key before heartbeats of the given key is an altered archive', async () => {
  await cp(path.join(base, 'ours'), path.join(base, 'mixed'), { recursive: true })
  await rm(path.join(base, 'mixed', 'genesis.note'))
  await cp(path.join(base, 'theirs', 'genesis.note'), path.join(base, 'mixed', 'genesis.note'))
  assert(findsGenesis(await verifyWithOurKey('mixed')))
})

test('a folder that is no archive is refused, an archive whose genesis is gone is altered', async () => {
  await mkdir(path.join(base, 'empty'))
  const refusedBecause = (reason: string) => (error: unknown) =>
    isHooktrailError(error, 'ARCHIVE_NOT_FOUND') && error.details['reason'] === reason
  await assert.rejects(verifyWithOurKey('empty'), refusedBecause('it is empty'))
  await writeFile(path.join(base, 'empty', 'notes.txt'), 'x')
  await assert.rejects(verifyWithOurKey('empty'), refusedBecause('it holds nothing of an archive'))
  await cp(path.join(base, 'ours'), path.join(base, 'headless'), { recursive: true })
  await rm(path.join(base, 'headless', 'genesis.note'))
  assert(findsGenesis(await verifyWithOurKey('headless')))
})
