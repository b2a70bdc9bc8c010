/**
 * Which partition a key goes to: the Java client's default partitioner, `murmur2(key) & 0x7fffffff` modulo the number
 * of partitions, on every driver. So a producer in any language and hooktrail agree, and a log can move to Kafka.
 */
const SEED = 0x9747b28c
const M = 0x5bd1e995
const R = 24

/** Kafka's `Utils.murmur2`, as a signed 32-bit integer. */
export function murmur2(bytes: Buffer): number {
  const { length } = bytes
  const wholeLength = length & ~3
  let h = SEED ^ length
  for (let index = 0; index < wholeLength; index += 4) {
    let k = Math.imul(bytes.readInt32LE(index), M)
    k ^= k >>> R
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  if (length > wholeLength) {
    for (let index = length - 1; index >= wholeLength; index--)
      h ^= bytes.readUInt8(index) << ((index & 3) * 8)
    h = Math.imul(h, M)
  }
  h = Math.imul(h ^ (h >>> 13), M)
  return h ^ (h >>> 15)
}

export function partitionFor(key: Buffer, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions
}
