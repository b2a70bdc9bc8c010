/**
 * Text on its way into the store. Postgres refuses NUL characters, jsonb refuses lone surrogates as well, and one row
 * that is refused would take its batch with it: both become U+FFFD here, on the one way in.
 */
import { textArray } from '../sql.ts'

const REPLACEMENT = '\uFFFD'

/** Lone surrogates turn into U+FFFD when the text is encoded as UTF-8. */
export function cleanText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', REPLACEMENT) : text
}

/** text[] from one member of each row; null stays null. */
export function texts<Row>(rows: readonly Row[], read: (row: Row) => string | null): Buffer {
  return textArray(
    rows.map((row) => {
      const text = read(row)
      return text === null ? null : cleanText(text)
    }),
  )
}

/** JSON for a jsonb column. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === 'string' ? cleanText(member).toWellFormed() : member,
  )
}
