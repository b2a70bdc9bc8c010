/** The partitioner against the vectors that Kafka's own UtilsTest publishes for murmur2. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { murmur2, partitionFor } from '../../core/record/partitioner.ts'

const vectors: readonly (readonly [string, number])[] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
]

test('murmur2 gives the values of the Java client', () => {
  for (const [text, hash] of vectors) assert.equal(murmur2(Buffer.from(text)), hash, text)
})

test('a key goes to the partition that the Java client would choose', () => {
  assert.equal(partitionFor(Buffer.from('abc'), 3), 479470107 % 3)
  assert.equal(partitionFor(Buffer.from('21'), 3), (-973932308 & 0x7fffffff) % 3)
})

test('every key has a partition, and always the same one', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.integer({ min: 1, max: 1000 }), (bytes, partitions) => {
      const partition = partitionFor(Buffer.from(bytes), partitions)
      assert.ok(partition >= 0 && partition < partitions)
      assert.equal(partitionFor(Buffer.from(bytes), partitions), partition)
    }),
  )
})
