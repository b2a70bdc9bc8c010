/** Leaves read straight from the bytes of a line are those that the JSON parser gives, or none: it never guesses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RowScanner } from '../../core/archive/format/row-scanner.ts'
import { leafRowOfLine, type LeafRow } from '../../core/archive/leaf-row.ts'
import { encodeRow } from '../../core/archive/row.ts'
import type { LogRecord } from '../../core/ports/event-log.ts'

const AT = { topic: 'hooktrail.events.demo', topicId: '00112233445566778899aabbccddeeff', partition: 2 }
const scanner = new RowScanner(AT)

const bytes = fc.oneof(
  fc.constant(null),
  fc.string({ unit: 'grapheme', maxLength: 40 }).map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(text)),
  fc
    .constantFrom('', '"\\/\b\f\n\r\t', '\u0001', '\0', 'ä€😀', '{"a":"b\\\\"}')
    .map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 8 }).map((array) => Buffer.from(array)),
)
const record: fc.Arbitrary<LogRecord> = fc.record({
  offset: fc.oneof(
    { weight: 4, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 49n }) },
    fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
  ),
  timestampMs: fc.oneof(
    { weight: 4, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 49n }) },
    fc.bigInt({ min: -5n, max: 5n }),
  ),
  timestampType: fc.constantFrom(0, 1),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ name: fc.string({ maxLength: 8 }), value: bytes }), { maxLength: 4 }),
})

function parsed(line: Buffer): LeafRow | null {
  try {
    return leafRowOfLine(line.toString('utf8'))
  } catch {
    return null
  }
}

test('what is scanned has the leaf, place and time that the parser reads', () => {
  let scanned = 0
  fc.assert(
    fc.property(record, (one) => {
      const line = encodeRow(one, AT).subarray(0, -1)
      const found = scanner.scan(line)
      if (found === null) return
      scanned += 1
      assert.deepEqual(found, parsed(line))
    }),
    { numRuns: 2000 },
  )
  assert(scanned > 200, `${String(scanned)} of 2000 were scanned`)
})

test('a line that was changed anywhere is scanned as the parser reads it, or not at all', () => {
  const line = encodeRow(
    {
      ...{ offset: 17n, timestampMs: 1_767_225_600_123n, timestampType: 1 },
      ...{ key: Buffer.from('k"1'), value: Buffer.from('{"a":"ä\\n"}') },
      headers: [
        { name: 'ce_id', value: Buffer.from('01J') },
        { name: 'empty', value: null },
      ],
    },
    AT,
  ).subarray(0, -1)
  assert.notEqual(scanner.scan(line), null)
  for (let at = 0; at < line.length; at++) {
    for (const byte of [0x00, 0x20, 0x22, 0x30, 0x5b, 0x5c, 0x5d, 0x75, 0x7d, 0x80, 0xff]) {
      const changed = Buffer.from(line)
      changed[at] = byte
      const found = scanner.scan(changed)
      if (found !== null) assert.deepEqual(found, parsed(changed), `byte ${String(byte)} at ${String(at)}`)
    }
    const found = scanner.scan(line.subarray(0, at))
    assert.equal(found, null, `cut at ${String(at)}`)
  }
})

test('rows of another partition and very long ones are left to the parser', () => {
  const one = { offset: 1n, timestampMs: 2n, timestampType: 0, key: null, headers: [] } as const
  const long = encodeRow({ ...one, value: Buffer.alloc(300_000, 'a') }, AT).subarray(0, -1)
  assert.equal(scanner.scan(long), null)
  const other = encodeRow({ ...one, value: null }, { ...AT, partition: 3 }).subarray(0, -1)
  assert.equal(scanner.scan(other), null)
})
