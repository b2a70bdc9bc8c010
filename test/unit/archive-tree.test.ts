/** The tree over all manifests: audit paths, tiles and checkpoints, against published forms and by exhaustion on small trees. */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { merkleLeaf, merkleRoot, MerkleStack } from '../../core/archive/merkle.ts'
import { fullTiles, tileKey, tilePlace, tileRoot, TileStack } from '../../core/archive/tree/tile.ts'
import { checkpointText, openCheckpoint } from '../../core/archive/tree/tree-checkpoint.ts'
import { rootOfPath, TreeRange } from '../../core/archive/tree/tree-range.ts'
import { parseVerifierKey, signNote } from '../../core/archive/signed-note.ts'
import { newSigner } from '../support/archive-keys.ts'

const LEAVES = Array.from({ length: 70 }, (_, at) => merkleLeaf(Buffer.from(String(at))))

test('every leaf of every small tree has a path to the root, from the edge before it as from all leaves', () => {
  let paths = 0
  for (let size = 1; size <= 40; size++) {
    const root = merkleRoot(LEAVES.slice(0, size))
    for (let index = 0; index < size; index++) {
      const whole = new TreeRange(LEAVES.slice(0, size)).path(index)
      for (let start = 0; start <= index; start++) {
        const stack = new MerkleStack()
        for (const leaf of LEAVES.slice(0, start)) stack.push(leaf)
        const range = new TreeRange(LEAVES.slice(start, size), { size: start, edge: stack.edge() })
        assert.deepEqual(range.path(index), whole)
        assert(range.root().equals(root))
        paths += 1
      }
      const leaf = LEAVES[index]
      assert(leaf !== undefined)
      assert.deepEqual(rootOfPath({ leaf, index, size, path: whole }), root)
      assert.notDeepEqual(rootOfPath({ leaf, index: (index + 1) % (size + 1), size, path: whole }), root)
      assert.notDeepEqual(rootOfPath({ leaf, index, size, path: [...whole, leaf] }), root)
      if (whole.length > 0) assert.notDeepEqual(rootOfPath({ leaf, index, size, path: whole.slice(1) }), root)
    }
  }
  assert.equal(paths, 11_480)
})

test('names of tiles are those of C2SP tlog-tiles, and each place has one', () => {
  assert.equal(tileKey({ level: 0, index: 0n }), 'tlog/tile/0/000')
  assert.equal(tileKey({ level: 1, index: 999n }), 'tlog/tile/1/999')
  assert.equal(tileKey({ level: 0, index: 1_234_067n }), 'tlog/tile/0/x001/x234/067')
  for (const index of [0n, 7n, 999n, 1000n, 1_234_067n]) {
    assert.deepEqual(tilePlace(tileKey({ level: 2, index })), { level: 2, index })
  }
  for (const key of [
    'tlog/tile/0/x000/001',
    'tlog/tile/0/1',
    'tlog/tile/8/000',
    'tlog/tile/0/000.p/5',
    'tlog/tile/entries/000',
  ])
    assert.equal(tilePlace(key), null, key)
})

test('a stack makes each full tile once, and a tile of the next level holds their roots', () => {
  const stack = new TileStack()
  const tiles = []
  const size = 256 * 257 + 3
  const leaves: Buffer[] = []
  for (let at = 0; at < size; at++) {
    const leaf = merkleLeaf(Buffer.from(String(at)))
    leaves.push(leaf)
    tiles.push(...stack.push(leaf))
  }
  const low = tiles.filter(({ level }) => level === 0)
  assert.equal(BigInt(low.length), fullTiles(BigInt(size), 0))
  assert.deepEqual(
    tiles.filter(({ level }) => level === 1).map(({ index }) => index),
    [0n],
  )
  const [first] = low
  const above = tiles.find(({ level }) => level === 1)
  assert(first !== undefined && above !== undefined)
  assert.deepEqual(tileRoot(first.bytes), above.bytes.subarray(0, 32))
  assert.deepEqual(tileRoot(above.bytes), merkleRoot(leaves.slice(0, 65_536)))
})

test('a checkpoint is the three lines of C2SP, and nothing else is believed', () => {
  const signer = newSigner()
  const keys = [parseVerifierKey(signer.vkey)]
  const checkpoint = {
    archiveId: '01J00000000000000000000000',
    size: 6n,
    root: merkleRoot(LEAVES).toString('hex'),
  }
  const note = signNote(checkpointText(checkpoint), signer).toString()
  assert.deepEqual(openCheckpoint(note, keys), checkpoint)
  assert.match(checkpointText(checkpoint), /^hooktrail\/01J00000000000000000000000\n6\n[A-Za-z0-9+/]{43}=\n$/)
  assert.throws(() => openCheckpoint(note.replace('\n6\n', '\n7\n'), keys), /signed note/)
  assert.throws(() => openCheckpoint(note, [parseVerifierKey(newSigner().vkey)]))
})

test('the test values of docs/formats.md come out', async () => {
  const page = await readFile(new URL('../../docs/formats.md', import.meta.url), 'utf8')
  const leaves = Array.from({ length: 256 }, (_, at) => merkleLeaf(hash('sha256', String(at), 'buffer')))
  const stack = new TileStack()
  const [tile] = leaves.flatMap((leaf) => stack.push(leaf))
  const five = new TreeRange(leaves.slice(0, 5))
  assert(tile !== undefined)
  const values = [
    `leaf 0         ${leaves[0]?.toString('hex') ?? ''}`,
    `tile 0/000     SHA-256 of its 8192 bytes ${hash('sha256', tile.bytes, 'hex')}`,
    `root of size 5   ${five.root().toString('hex')}`,
    `root of size 256 ${merkleRoot(leaves).toString('hex')}`,
    `path of leaf 3 in size 5: ${five
      .path(3)
      .map((node) => node.toString('hex'))
      .join(' ')}`,
    checkpointText({ archiveId: '01J0000000000000000000000A', size: 5n, root: five.root().toString('hex') }),
  ]
  for (const value of values) assert(page.includes(`${value.trimEnd()}\n`), value)
})
