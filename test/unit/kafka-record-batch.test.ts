/** Record batches without a broker: what is damaged is refused, what is cut is left, and each offset is accounted for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c, readRecordsBatch, Reader } from '@platformatic/kafka'
import fc from 'fast-check'
import { classifyBatches } from '../../adapters/kafka/classify-batches.ts'
import type { FetchedPartition } from '../../adapters/kafka/fetch-api.ts'
import { encodeBatch, encodedBytesMax } from '../../adapters/kafka/record-batch.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { AppendRecord } from '../../core/ports/event-log.ts'

const topic = { name: 't', id: '1'.padStart(32, '0'), partitions: 1, createdByUs: true }
const ABORT_MARKER = Buffer.from([0, 0, 0, 0])
const COMMIT_MARKER = Buffer.from([0, 0, 0, 1])
const [TRANSACTIONAL, CONTROL] = [16, 32]

const recordOf = (fields: Partial<AppendRecord>): AppendRecord => ({
  ...{ topic, partition: 0, key: null, value: null, headers: [] },
  ...fields,
})
const texts = (...values: string[]): AppendRecord[] =>
  values.map((value) => recordOf({ value: Buffer.from(value) }))

interface BatchFields {
  readonly base: bigint
  readonly attributes?: number
  readonly producerId?: bigint
  readonly records: readonly AppendRecord[]
  /** Of a batch whose last records were compacted away. */
  readonly lastDelta?: number
}

function batch({ base, attributes = 0, producerId = -1n, records, lastDelta }: BatchFields): Buffer {
  const bytes = encodeBatch(records, 1_000n, { id: producerId, epoch: 0, sequence: 0 })
  bytes.writeBigInt64BE(base)
  bytes.writeInt16BE(attributes, 21)
  bytes.writeInt32BE(lastDelta ?? records.length - 1, 23)
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17)
  return bytes
}

function fetched(batches: readonly Buffer[], more: Partial<FetchedPartition> = {}): FetchedPartition {
  const fields = { version: 17, errorCode: 0, lastStable: 1_000n, logStart: 0n, aborted: [] }
  return { ...fields, batches: Buffer.concat(batches), ...more }
}

const all = { from: 0n, recordsMax: 1_000, bytesMax: 1_000_000 }

function told(page: ReturnType<typeof classifyBatches>): object {
  return {
    records: page.records.map(({ offset, value }) => `${offset}:${String(value)}`),
    gaps: page.gaps.map(({ from, to, reason }) => `${from}-${to} ${reason}`),
    next: page.next,
  }
}

test('what is encoded fits its bound, and the client’s own reader reads it', () => {
  const bytes = fc.option(fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)))
  const name = fc.string({ unit: 'grapheme', maxLength: 20 })
  const header = fc.record({ name, value: fc.oneof(bytes, name) })
  const record = fc.record({ key: bytes, value: bytes, headers: fc.array(header, { maxLength: 5 }) })
  const state = { id: 7n, epoch: 3, sequence: 2 ** 31 - 1 }
  fc.assert(
    fc.property(fc.array(record.map(recordOf), { minLength: 1, maxLength: 20 }), (records) => {
      const encoded = encodeBatch(records, 1_000n, state)
      assert.ok(encoded.length <= 61 + records.reduce((sum, each) => sum + encodedBytesMax(each), 0))
      const read = readRecordsBatch(Reader.from(encoded))
      assert.deepEqual([read.producerId, read.producerEpoch, read.firstSequence], [7n, 3, 2 ** 31 - 1])
      const expected = records.map(({ key, value, headers }) => ({
        ...{ key, value },
        headers: headers.map((each) => [
          Buffer.from(each.name),
          each.value === null ? null : Buffer.from(each.value),
        ]),
      }))
      assert.deepEqual(
        read.records.map(({ key, value, headers }) => ({ key, value, headers })),
        expected,
      )
      const ours = classifyBatches(fetched([encoded]), all).records
      assert.deepEqual(
        ours.map(({ key, value, headers }) => ({
          ...{ key, value },
          headers: headers.map((each) => [Buffer.from(each.name), each.value]),
        })),
        expected,
      )
    }),
  )
})

test('a batch with any byte changed is refused', () => {
  const good = batch({ base: 0n, records: texts('one', 'two') })
  for (let at = 16; at < good.length; at++) {
    const damaged = Buffer.from(good)
    damaged[at] = (damaged[at] ?? 0) ^ 1
    assert.throws(
      () => classifyBatches(fetched([damaged]), all),
      (error) => isHooktrailError(error, 'LOG_CORRUPT'),
      `byte ${at}`,
    )
  }
})

test('a last batch that was cut off is left for the next read', () => {
  const [first, second] = [
    batch({ base: 0n, records: texts('a') }),
    batch({ base: 1n, records: texts('b', 'c') }),
  ]
  for (let length = 0; length < second.length; length++)
    assert.deepEqual(told(classifyBatches(fetched([first, second.subarray(0, length)]), all)), {
      ...{ records: ['0:a'], gaps: [], next: 1n },
    })
})

test('a batch may begin below what was asked for', () => {
  const page = classifyBatches(fetched([batch({ base: 0n, records: texts('a', 'b', 'c') })]), {
    ...all,
    from: 2n,
  })
  assert.deepEqual(told(page), { records: ['2:c'], gaps: [], next: 3n })
})

test('missing offsets are compacted ones: between batches, at a batch’s end, and a whole empty batch', () => {
  const page = classifyBatches(
    fetched([
      batch({ base: 2n, records: texts('a'), lastDelta: 4 }),
      batch({ base: 9n, records: [], lastDelta: 2 }),
      batch({ base: 12n, records: texts('b') }),
    ]),
    all,
  )
  assert.deepEqual(told(page), {
    ...{ records: ['2:a', '12:b'], gaps: ['0-1 compacted', '3-11 compacted'], next: 13n },
  })
})

test('a producer is aborted from where the list says until its marker, and not beyond', () => {
  const of = (base: bigint, producerId: bigint, value: string): Buffer =>
    batch({ base, producerId, attributes: TRANSACTIONAL, records: texts(value) })
  const marker = (base: bigint, producerId: bigint, key: Buffer): Buffer =>
    batch({ base, producerId, attributes: TRANSACTIONAL | CONTROL, records: [recordOf({ key })] })
  const batches = [
    ...[of(0n, 1n, 'first, committed'), marker(1n, 1n, COMMIT_MARKER), of(2n, 1n, 'aborted')],
    ...[of(3n, 2n, 'committed'), batch({ base: 4n, producerId: 1n, records: texts('no transaction') })],
    ...[marker(5n, 2n, COMMIT_MARKER), marker(6n, 1n, ABORT_MARKER), of(7n, 1n, 'committed again')],
    ...[marker(8n, 1n, COMMIT_MARKER), of(9n, 1n, 'aborted again'), marker(10n, 1n, ABORT_MARKER)],
  ]
  const aborted = [
    { producerId: 1n, firstOffset: 9n },
    { producerId: 1n, firstOffset: 2n },
  ]
  const page = classifyBatches(fetched(batches, { aborted }), all)
  assert.deepEqual(told(page), {
    records: ['0:first, committed', '3:committed', '4:no transaction', '7:committed again'],
    gaps: ['1-1 control', '2-2 aborted', '5-6 control', '8-8 control', '9-9 aborted', '10-10 control'],
    next: 11n,
  })
})

test('nothing at or behind the last stable offset is read', () => {
  const batches = [batch({ base: 0n, records: texts('a') }), batch({ base: 1n, records: texts('b') })]
  const page = classifyBatches(fetched(batches, { lastStable: 1n }), all)
  assert.deepEqual(told(page), { records: ['0:a'], gaps: [], next: 1n })
})
