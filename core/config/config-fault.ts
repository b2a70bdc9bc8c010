/**
 * One fault of a configuration, with the place to look at and what to write instead. Its text never holds a value of
 * the file, since that may be a secret; but for a short word, written as such, where one of a few words is expected.
 */

export interface ConfigFault {
  /** Name of the file that the place is in. */
  readonly file: string
  /** Dotted: `handlers.billing.url`; empty for the whole file. */
  readonly path: string
  readonly line: number
  readonly column: number
  readonly message: string
  /** What to write instead, or null. */
  readonly hint: string | null
}

/** A fault before its place in the text was looked up. `at` of an unknown key names the key itself. */
export interface PlainFault {
  readonly at: readonly PropertyKey[]
  readonly message: string
  /** What stands there instead; told only when it is a short word that no reference brought in. */
  readonly found?: string
  readonly hint?: string
}

export type Report = (fault: PlainFault) => void

/** More are not listed: they are of one cause, or of a file that is no configuration. */
export const FAULTS_MAX = 200

/** The line that people see. */
export function faultText({ file, line, column, path, message, hint }: ConfigFault): string {
  const text = path === '' ? message : `${path} ${message}`
  return `${file}:${line}:${column} ${text}${hint === null ? '' : ` (${hint})`}`
}
