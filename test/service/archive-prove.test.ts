/**
 * The proof of one event: made from the archive alone, checked by the command and by what docs/auditor.md shows, and
 * refused as soon as a byte of it, or the key, is another one.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { checkProof } from '../../core/archive/proof/check-proof.ts'
import { placesOf } from '../../core/archive/proof/event-place.ts'
import { makeProof } from '../../core/archive/proof/make-proof.ts'
import { parseProof, type Proof } from '../../core/archive/proof/proof.ts'
import { makeSigner, parseVerifierKey } from '../../core/archive/signed-note.ts'
import { ROUNDS, SmallArchive } from '../support/small-archive.ts'

const CLI = new URL('../support/archive-cli.ts', import.meta.url).pathname
const TOPIC = 'hooktrail.events.demo'

let archive: SmallArchive
let key = ''

before(async () => {
  archive = await SmallArchive.make()
  key = path.join(archive.base, 'archive.pub')
  await writeFile(key, `${archive.builder.signer.vkey}\n`)
})

after(async () => {
  await archive[Symbol.asyncDispose]()
})

function run(...args: string[]): { status: number | null; out: string; err: string } {
  return command('prove', ...args)
}

function command(...args: string[]): { status: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    encoding: 'utf8',
  })
  return { status, out: stdout, err: stderr }
}

test('events of every segment are proven, each under the heartbeat that names its manifest', async () => {
  const source = { store: archive.builder.store, keys: archive.builder.keys }
  let proven = 0
  for (let round = 0; round < ROUNDS; round++) {
    for (const offset of [round * 20, round * 20 + 7, round * 20 + 19]) {
      const [place] = await placesOf(source, { topic: TOPIC, partition: 0, offset: BigInt(offset) })
      assert(place !== undefined)
      const proof = await makeProof(source, place, new AbortController().signal)
      const { record, heartbeat } = checkProof(parseProof(JSON.stringify(proof)), archive.builder.keys)
      assert.deepEqual([record.offset, heartbeat.n], [BigInt(offset), String(round)])
      proven += 1
    }
  }
  assert.equal(proven, 12)
})

test('the command checks the file alone, and says what is wrong with another one', async () => {
  const file = path.join(archive.base, 'proof.json')
  assert.equal(run(archive.folder, `${TOPIC}:1:3`, '--key', key, '--out', file).status, 0)
  const good = run('--check', file, '--key', key)
  assert.match(good.out, /^proven: event event-3 at hooktrail\.events\.demo:1:3\narchive test-archive, /)
  assert.equal(good.status, 0)
  const proof = parseProof(await readFile(file, 'utf8'))
  const edits: Record<string, Partial<Proof>> = {
    row: { row: { ...proof.row, offset: '2' } },
    preimage: { preimage: Buffer.from('other').toString('base64') },
    leaf: { segment: { ...proof.segment, index: proof.segment.index + 1 } },
    path: { segment: { ...proof.segment, path: proof.segment.path.slice(1) } },
    tree: { tree: { ...proof.tree, index: proof.tree.index + 1 } },
    manifest: { manifest: proof.manifest.replace('"records":5', '"records":6') },
    heartbeat: { heartbeat: proof.heartbeat.replace('"tree_size"', '"tree_sizf"') },
  }
  for (const [what, edit] of Object.entries(edits)) {
    assert.throws(
      () => checkProof({ ...proof, ...edit }, archive.builder.keys),
      { name: 'HooktrailError' },
      what,
    )
  }
  await writeFile(file, JSON.stringify({ ...proof, ...edits['path'] }))
  const wrong = run('--check', file, '--key', key)
  assert.match(wrong.out, /^not proven: its bytes do not lead/)
  assert.equal(wrong.status, 1)
  const other = makeSigner(generateKeyPairSync('ed25519').privateKey, 'hooktrail-test')
  assert.throws(() => checkProof(proof, [parseVerifierKey(other.vkey)]))
  await writeFile(file, '{}')
  assert.equal(run('--check', file, '--key', key).status, 66)
})

test('what the archive does not hold is not proven', () => {
  const { status, err } = run(archive.folder, `${TOPIC}:0:80`, '--key', key)
  assert.equal(status, 66)
  assert.match(err, /ARCHIVE_EVENT_UNPROVEN/)
})

test('an event is found by its id, and proven by it', () => {
  assert.match(command('index', archive.folder, '--key', key).out, /^0 segments added to .*-index\n$/)
  const found = command('find', archive.folder, 'event-42', '--key', key)
  assert.deepEqual([found.status, found.out], [0, `${TOPIC}:0:42\n`])
  assert.equal(command('find', archive.folder, 'event-1042', '--key', key).status, 1)
  const { record } = checkProof(
    parseProof(run(archive.folder, 'event-42', '--key', key).out),
    archive.builder.keys,
  )
  assert.equal(record.offset, 42n)
})
