/**
 * Text that came from outside, made fit for an index and a column: no NUL, no lone surrogate, bounded. Injective where
 * it matters: what must change keeps a spelling (or a digest) of its own, so two keys never become one by accident.
 */
import { createHash } from 'node:crypto'

/** A B-tree entry of Postgres holds about 2 700 bytes: 512 UTF-16 units are at most 1 536. */
export const TEXT_LENGTH_MAX = 512
const HEAD_LENGTH = 400

function sha256(text: string): string {
  return createHash('sha256').update(text, 'utf8').digest('hex')
}

/** Idempotent. `digest` names what was cut off. */
export function boundText(text: string, digest: (text: string) => string = sha256): string {
  const fit = text.isWellFormed() && !text.includes('\0') ? text : spell(text)
  if (fit.length <= TEXT_LENGTH_MAX) return fit
  return `${fit.slice(0, HEAD_LENGTH).toWellFormed()}…${digest(fit)}`
}

/** JSON escapes lone surrogates and NUL. */
function spell(text: string): string {
  return JSON.stringify(text)
}
