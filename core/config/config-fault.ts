/**
 * One fault of a configuration, with the place to look at and what to write instead. Its text never holds a value of
 * the file, since that value may be a secret.
 */

export interface ConfigFault {
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
  readonly hint?: string
}

export type Report = (fault: PlainFault) => void

const DISTANCE_MAX = 3

/** The known name that is the fewest edits away, or null when none is near. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null
  let bestDistance = Math.min(DISTANCE_MAX, Math.ceil(name.length / 2)) + 1
  for (const candidate of known) {
    const distance = editDistance(name.slice(0, 64), candidate)
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? a.length
}
