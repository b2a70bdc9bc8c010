/** What a benchmark says of its own CPU: each sample counted once, under the part that a reader would look for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partsOf } from '../../bench/profile.ts'

test('samples are summed by folder, dependency, module of Node and what V8 does, without rest', () => {
  const urls = [
    'file:///x/ingress/receiver.ts',
    'file:///x/adapters/postgres/log-append.ts',
    'file:///x/node_modules/@bufbuild/cel/cel.js',
    'node:internal/crypto/hash',
    '',
  ]
  const frames = urls.map((url) => ({ functionName: 'f', url }))
  const callFrames = [
    ...frames,
    { functionName: '(garbage collector)', url: '' },
    { functionName: '(idle)', url: '' },
  ]
  const text = JSON.stringify({
    nodes: callFrames.map((callFrame, id) => ({ id, callFrame })),
    samples: [0, 0, 1, 2, 3, 4, 5, 6],
    timeDeltas: [5_000, 5_000, 8_000, 6_000, 5_000, 4_000, 3_000, 90_000],
  })
  assert.deepEqual(
    partsOf(text).map(({ part, selfMs }) => [part, selfMs]),
    [
      ['ingress/', 10],
      ['adapters/postgres/', 8],
      ['@bufbuild/cel', 6],
      ['node:crypto', 5],
      ['native code', 4],
      ['garbage collection', 3],
    ],
  )
})
