/** A new archive holds the independent verifier, signed by its genesis, and one without it stays what it was. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { parseGenesis } from '../../core/archive/documents.ts'
import { verifierToolKey } from '../../core/archive/keys.ts'
import { readNoteUnverified } from '../../core/archive/signed-note.ts'
import { openStage, type ArchiverStage } from '../support/archiver-stage.ts'
import { VERIFIER } from '../support/python-verifier.ts'

const KEY = verifierToolKey('1.2.3')

async function filesOf(stage: ArchiverStage): Promise<Readonly<Record<string, string>>> {
  const note = await readFile(path.join(stage.directory, 'genesis.note'))
  return parseGenesis(readNoteUnverified(note)).files
}

test('genesis names the verifier by its SHA-256, and what another version left before it', async () => {
  await using stage = await openStage()
  const text = await readFile(VERIFIER, 'utf8')
  const left = verifierToolKey('1.2.2')
  await mkdir(path.dirname(path.join(stage.directory, left)), { recursive: true })
  await writeFile(path.join(stage.directory, left), 'print(1)\n')
  const seat = await stage.seat('a', { deps: { tools: { [KEY]: text } } })
  await seat.heartbeats.step(await stage.log.topics())
  const files = await filesOf(stage)
  assert.equal(files[KEY], createHash('sha256').update(text).digest('hex'))
  assert.deepEqual(Object.keys(files).toSorted(), ['README.txt', 'formats.md', left, KEY])
  assert.equal(await readFile(path.join(stage.directory, KEY), 'utf8'), text)
  const { exitCode, findings } = await stage.verify()
  assert.equal(exitCode, 0, JSON.stringify(findings))
})

test('an archive that was begun without it is opened as it is', async () => {
  await using stage = await openStage()
  await stage.seat('before')
  const seat = await stage.seat('after', { deps: { tools: { [KEY]: 'print(1)\n' } } })
  await seat.heartbeats.step(await stage.log.topics())
  assert.deepEqual(Object.keys(await filesOf(stage)), ['README.txt', 'formats.md'])
  assert.equal((await stage.verify()).exitCode, 0)
})
