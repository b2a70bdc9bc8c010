/**
 * What goes over the wire to Postgres: result parsers (int8 as bigint, bytea as Buffer) and
 * parameters in the binary array format. The driver sends a Buffer as a binary parameter; an array built here
 * costs one copy, where the text form of a bytea[] costs two hex digits a byte on both sides.
 */
import { TypeOverrides } from 'pg'

const OID = { bytea: 17, int8: 20, int4: 23, text: 25 } as const

/**
 * Handed to every client, so that nothing global in the driver is changed. Text only: the driver turns binary
 * results into UTF-8 strings first, which destroys them (bulk reads go through copy-rows.ts).
 */
export const resultTypes = new TypeOverrides()
resultTypes.setTypeParser(OID.int8, BigInt)
resultTypes.setTypeParser(OID.bytea, (value) => Buffer.from(value.slice(2), 'hex'))

const HEADER_BYTES = 20

function arrayHeader(target: Buffer, oid: number, length: number): void {
  target.writeInt32BE(1, 0)
  target.writeInt32BE(1, 4)
  target.writeInt32BE(oid, 8)
  target.writeInt32BE(length, 12)
  target.writeInt32BE(1, 16)
}

export function int4Array(values: readonly number[]): Buffer {
  const array = Buffer.allocUnsafe(HEADER_BYTES + values.length * 8)
  arrayHeader(array, OID.int4, values.length)
  let at = HEADER_BYTES
  for (const value of values) {
    at = array.writeInt32BE(4, at)
    at = array.writeInt32BE(value, at)
  }
  return array
}

export function int8Array(values: readonly bigint[]): Buffer {
  const array = Buffer.allocUnsafe(HEADER_BYTES + values.length * 12)
  arrayHeader(array, OID.int8, values.length)
  let at = HEADER_BYTES
  for (const value of values) {
    at = array.writeInt32BE(8, at)
    at = array.writeBigInt64BE(value, at)
  }
  return array
}

/** bytea[]; null stays null. */
export function byteaArray(values: readonly (Buffer | null)[]): Buffer {
  let bytes = HEADER_BYTES
  for (const value of values) bytes += 4 + (value === null ? 0 : value.length)
  const array = Buffer.allocUnsafe(bytes)
  arrayHeader(array, OID.bytea, values.length)
  let at = HEADER_BYTES
  for (const value of values) {
    at = array.writeInt32BE(value === null ? -1 : value.length, at)
    if (value !== null) at += value.copy(array, at)
  }
  return array
}

/** text[]; null stays null. */
export function textArray(values: readonly (string | null)[]): Buffer {
  const array = byteaArray(values.map((value) => (value === null ? null : Buffer.from(value, 'utf8'))))
  array.writeInt32BE(OID.text, 8)
  return array
}
