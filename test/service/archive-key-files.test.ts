/** Keys below the home folder: made once, private, and refused when they are not. */
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import {
  archivePrivateKeyPath,
  archivePublicKeyPath,
  ensureApiToken,
  ensureDigestKey,
  readPublicKeys,
} from '../../adapters/system/key-files.ts'
import { ensureArchiveSigner } from '../../adapters/system/home-keys.ts'
import { openNote, signNote } from '../../core/archive/signed-note.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'

let base = ''
let homes = 0

before(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'key-files-'))
})

after(async () => {
  await rm(base, { recursive: true, force: true })
})

function newHome(): string {
  homes += 1
  return path.join(base, String(homes))
}

async function modeOf(file: string): Promise<string> {
  return ((await stat(file)).mode & 0o777).toString(8)
}

test('what one start makes the next one reads, and the public line opens its notes', async () => {
  const home = newHome()
  const first = await ensureArchiveSigner(home)
  const second = await ensureArchiveSigner(home)
  assert.equal(second.vkey, first.vkey)
  const keys = await readPublicKeys(archivePublicKeyPath(home))
  assert.equal(openNote(signNote('text\n', second), keys).text, 'text\n')
  assert.equal(await readFile(archivePublicKeyPath(home), 'utf8'), `${first.vkey}\n`)
  assert.equal(await ensureDigestKey(home), await ensureDigestKey(home))
  assert.equal(await ensureApiToken(home), await ensureApiToken(home))
  assert.notEqual(await ensureDigestKey(home), await ensureApiToken(home))
})

test('secrets are 0600 in a folder of 0700, and nothing else is left beside them', async () => {
  const home = newHome()
  await ensureArchiveSigner(home)
  await ensureDigestKey(home)
  await ensureApiToken(home)
  assert.equal(await modeOf(home), '700')
  assert.equal(await modeOf(path.join(home, 'keys')), '700')
  for (const file of [
    archivePrivateKeyPath(home),
    path.join(home, 'keys/digest.key'),
    path.join(home, 'token'),
  ]) {
    assert.equal(await modeOf(file), '600')
  }
  assert.deepEqual((await readdir(path.join(home, 'keys'))).toSorted(), [
    'archive.key',
    'archive.pub',
    'digest.key',
  ])
})

test('ten starts at once agree on one key', async () => {
  const home = newHome()
  const signers = await Promise.all(Array.from({ length: 10 }, () => ensureArchiveSigner(home)))
  assert.equal(new Set(signers.map(({ vkey }) => vkey)).size, 1)
  const tokens = await Promise.all(Array.from({ length: 10 }, () => ensureApiToken(home)))
  assert.equal(new Set(tokens).size, 1)
})

test('a secret that others can read is refused', async () => {
  const home = newHome()
  await ensureArchiveSigner(home)
  await ensureApiToken(home)
  for (const mode of [0o640, 0o604, 0o660]) {
    await chmod(path.join(home, 'token'), mode)
    await chmod(archivePrivateKeyPath(home), mode)
    await assert.rejects(ensureApiToken(home), (error) => isHooktrailError(error, 'ARCHIVE_KEY_FILE_OPEN'))
    await assert.rejects(ensureArchiveSigner(home), (error) =>
      isHooktrailError(error, 'ARCHIVE_KEY_FILE_OPEN'),
    )
  }
})

test('a damaged key file is refused and never replaced', async () => {
  const home = newHome()
  await ensureArchiveSigner(home)
  await ensureApiToken(home)
  await writeFile(path.join(home, 'token'), 'short')
  await writeFile(archivePrivateKeyPath(home), 'no key')
  await assert.rejects(ensureApiToken(home), (error) => isHooktrailError(error, 'ARCHIVE_KEY_FILE_INVALID'))
  await assert.rejects(ensureArchiveSigner(home), (error) =>
    isHooktrailError(error, 'ARCHIVE_KEY_FILE_INVALID'),
  )
  assert.equal(await readFile(path.join(home, 'token'), 'utf8'), 'short')
})

test('a public file of another key is refused', async () => {
  const [one, other] = [newHome(), newHome()]
  await ensureArchiveSigner(one)
  const { vkey } = await ensureArchiveSigner(other)
  await chmod(archivePublicKeyPath(one), 0o644)
  await writeFile(archivePublicKeyPath(one), `${vkey}\n`)
  await assert.rejects(ensureArchiveSigner(one), (error) =>
    isHooktrailError(error, 'ARCHIVE_KEY_FILE_INVALID'),
  )
})
