/** Which known name somebody meant who wrote another one: what faults of the configuration and of filters suggest. */

const DISTANCE_MAX = 3
const NAME_CHARACTERS_MAX = 64

/** The known name that is the fewest edits away, or null when none is near. */
export function nearestName(name: string, known: readonly string[]): string | null {
  let best: string | null = null
  let bestDistance = Math.min(DISTANCE_MAX, Math.ceil(name.length / 2)) + 1
  for (const candidate of known) {
    const distance = editDistance(name.slice(0, NAME_CHARACTERS_MAX), candidate)
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
