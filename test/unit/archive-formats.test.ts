/** Published vectors of RFC 6962 and C2SP signed notes, and the vectors of docs/formats.md. */
import assert from 'node:assert/strict'
import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { leafHash, leafPreimage } from '../../core/archive/leaf.ts'
import { EMPTY_ROOT, merkleLeaf, merkleNode, merkleRoot, MerkleStack } from '../../core/archive/merkle.ts'
import { decodeRow, decodeRowForLeaf, encodeRow } from '../../core/archive/row.ts'
import { makeSigner, openNote, parseVerifierKey, signNote } from '../../core/archive/signed-note.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { LogRecord } from '../../core/ports/event-log.ts'

const formats = readFileSync(new URL('../../docs/formats.md', import.meta.url), 'utf8')
const at = { topic: 'hooktrail.events.demo', topicId: '00112233445566778899aabbccddeeff', partition: 2 }

// Certificate Transparency's reference inputs and roots, tree sizes 1 to 8.
const CT_LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
]
const CT_ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
const LEAVES = CT_LEAVES.map((hex) => merkleLeaf(Buffer.from(hex, 'hex')))

test('the roots of the Certificate Transparency reference trees come out', () => {
  assert.equal(EMPTY_ROOT.toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  for (const [index, root] of CT_ROOTS.entries()) {
    assert.equal(merkleRoot(LEAVES.slice(0, index + 1)).toString('hex'), root)
  }
})

test('a stack that goes on from its edge gives the root of the whole list', () => {
  for (let cut = 0; cut <= LEAVES.length; cut++) {
    const first = new MerkleStack()
    for (const leaf of LEAVES.slice(0, cut)) first.push(leaf)
    const second = MerkleStack.fromEdge(first.size, first.edge())
    for (const leaf of LEAVES.slice(cut)) second.push(leaf)
    assert.equal(second.root().toString('hex'), CT_ROOTS[7])
    assert.equal(second.size, 8n)
  }
  assert.throws(() => MerkleStack.fromEdge(3n, [EMPTY_ROOT]))
})

test('a node hashes its prefix and both sides', () => {
  const [a, b] = LEAVES
  assert(a !== undefined && b !== undefined)
  assert.equal(merkleNode(a, b).toString('hex'), CT_ROOTS[1])
})

const TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const SEED = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1)
const LINE =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
const privateKey = createPrivateKey({
  key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), SEED]),
  format: 'der',
  type: 'pkcs8',
})

test('the published signed note is made byte for byte and opens', () => {
  const signer = makeSigner(privateKey, 'PeterNeumann')
  assert.equal(signer.vkey, VKEY)
  assert.equal(signNote(TEXT, signer).toString(), `${TEXT}\n${LINE}`)
  const opened = openNote(Buffer.from(`${TEXT}\n${LINE}`), [parseVerifierKey(VKEY)])
  assert.deepEqual(opened, { text: TEXT, signedBy: [parseVerifierKey(VKEY)] })
})

test('a note with anything foreign on it is refused', () => {
  const known = [parseVerifierKey(VKEY)]
  const good = `${TEXT}\n${LINE}`
  const bad = [
    good.replace('cryptography', 'cryptographie'),
    `${good}\u2014 somebody ${LINE.slice(15)}`,
    `${good}${LINE}`,
    good.slice(0, -1),
    `${good}\n`,
    `${good}x\n`,
    TEXT,
    `${TEXT}\n`,
    good.replace('x08go', 'x08gp'),
    good.replace('JnAM=', 'JnAN='),
    good.replace('problem,', 'problem,\r'),
  ]
  for (const text of bad) {
    assert.throws(
      () => openNote(Buffer.from(text), known),
      (error) => isHooktrailError(error, 'ARCHIVE_NOTE_INVALID'),
    )
  }
  assert.throws(() => openNote(Buffer.from(good), []))
  assert.throws(() => parseVerifierKey(VKEY.replace('c74f20a3', 'c74f20a4')))
})

const documented: LogRecord = {
  offset: 5n,
  timestampMs: 1767225600123n,
  timestampType: 1,
  key: Buffer.from('k1'),
  value: Buffer.from('{"a":1}'),
  headers: [
    { name: 'ce_id', value: Buffer.from('01J0000000000000000000000A') },
    { name: 'x', value: null },
    { name: 'bin', value: Buffer.from([0xff, 0]) },
  ],
}

test('row, preimage and leaf are those of docs/formats.md', () => {
  const nothing: LogRecord = {
    offset: 6n,
    timestampMs: 0n,
    timestampType: 0,
    key: null,
    value: null,
    headers: [],
  }
  for (const record of [documented, nothing]) {
    assert(formats.includes(encodeRow(record, at).toString()))
    assert(formats.includes(leafPreimage(record, at).toString('hex')))
    assert(formats.includes(leafHash(record, at).toString('hex')))
  }
  const root = merkleRoot([leafHash(documented, at), leafHash(nothing, at)])
  assert(formats.includes(root.toString('hex')))
})

test('a row gives back every byte of any record', () => {
  const bytes = fc.option(fc.oneof(fc.uint8Array(), fc.string({ unit: 'binary' })).map(toBuffer))
  const record = fc.record(
    {
      offset: fc.bigInt(0n, 2n ** 63n - 1n),
      timestampMs: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
      timestampType: fc.constantFrom<0 | 1>(0, 1),
      key: bytes,
      value: bytes,
      headers: fc.array(
        fc.record({ name: fc.string({ unit: 'binary' }), value: bytes }, { noNullPrototype: true }),
      ),
    },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(record, (one) => {
      const line = encodeRow(one, at).toString('utf8')
      assert.equal(line.indexOf('\n'), line.length - 1)
      const back = decodeRow(line)
      assert.deepEqual(back, { record: one, at })
      assert.deepEqual(leafHash(back.record, back.at), leafHash(one, at))
      assert.deepEqual(leafHash(decodeRowForLeaf(line).record, at), leafHash(one, at))
    }),
    { numRuns: 500 },
  )
})

test('what is no row is refused with one error', () => {
  const good = encodeRow(documented, at).toString('utf8')
  for (const line of [
    '',
    '{}',
    '[]',
    'null',
    good.replace('"5"', '5'),
    good.replace('"5"', '"x"'),
    good.slice(0, 40),
  ]) {
    assert.throws(
      () => decodeRow(line),
      (error) => isHooktrailError(error, 'ARCHIVE_ROW_INVALID'),
    )
  }
})

test('a record larger than the shared buffer has the leaf of its whole preimage', () => {
  for (const value of [Buffer.alloc(300_000, 7), Buffer.from('ü'.repeat(200_000))]) {
    const record = { ...documented, value }
    assert.deepEqual(leafHash(record, at), merkleLeaf(leafPreimage(record, at)))
    const row = decodeRowForLeaf(encodeRow(record, at).toString('utf8'))
    assert.deepEqual(leafHash(row.record, at), leafHash(record, at))
  }
})

function toBuffer(value: Uint8Array | string): Buffer {
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : Buffer.from(value)
}
