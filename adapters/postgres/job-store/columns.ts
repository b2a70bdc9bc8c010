/**
 * Text on its way into the store. Postgres refuses NUL characters, jsonb refuses lone surrogates as well, and one row
 * that is refused would take its batch with it: both become U+FFFD here, on the one way in.
 */
import { textArray } from '../sql.ts'

const REPLACEMENT = '\uFFFD'
/** The header of a text[] with one dimension; the number of elements is at ELEMENTS_AT. */
const EMPTY = textArray([])
const ELEMENTS_AT = 12
const LENGTH_BYTES = 4
/** Of one UTF-16 unit: a pair takes 4 for two, a NUL becomes U+FFFD. */
const UTF8_BYTES_MAX = 3

/** Lone surrogates turn into U+FFFD when the text is encoded as UTF-8. */
export function cleanText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', REPLACEMENT) : text
}

/** text[] from one member of each row, encoded in one pass; null stays null. */
export function texts<Row>(rows: readonly Row[], read: (row: Row) => string | null): Buffer {
  const values = rows.map(read)
  let bytesMax = EMPTY.length
  for (const value of values) bytesMax += LENGTH_BYTES + (value?.length ?? 0) * UTF8_BYTES_MAX
  const array = Buffer.allocUnsafe(bytesMax)
  let at = EMPTY.copy(array)
  array.writeInt32BE(values.length, ELEMENTS_AT)
  for (const value of values) {
    const bytes = value === null ? -1 : array.write(cleanText(value), at + LENGTH_BYTES)
    array.writeInt32BE(bytes, at)
    at += LENGTH_BYTES + Math.max(0, bytes)
  }
  return array.subarray(0, at)
}

/** JSON for a jsonb column. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'string' ? cleanText(member).toWellFormed() : member,
  )
}
