/** Keys that the schema does not have: of a later version, misspelt, or of nothing that is known. */
import { nearestName } from '../nearest-name.ts'
import type { Report } from './config-fault.ts'
import type { Path } from './config-tree.ts'
import { insteadOf } from './later-keys.ts'

/** Suggesting costs; a mapping with more unknown keys is no configuration. */
const UNKNOWN_KEYS_MAX = 100

export function reportUnknownKeys(
  at: Path,
  { keys, known }: { readonly keys: readonly string[]; readonly known: readonly string[] },
  report: Report,
): void {
  for (const key of keys.slice(0, UNKNOWN_KEYS_MAX)) {
    const instead = insteadOf([...at, key])
    const nearest = nearestName(key, known)
    if (instead !== null)
      report({ at: [...at, key], message: 'is not available in this version', hint: `instead: ${instead}` })
    else
      report({
        at: [...at, key],
        message: 'is an unknown key',
        hint: nearest === null ? `known here: ${known.join(', ')}` : `did you mean ${nearest}?`,
      })
  }
}

/**
 * The mapping with null for every name that an unknown key of it probably means. No schema accepts null, so what looks
 * at such a name takes it for one that is there and was reported, never for one that is missing.
 */
export function withMeantNames(value: unknown, at: Path, known: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const meant = Object.keys(value)
    .filter((key) => !known.includes(key) && insteadOf([...at, key]) === null)
    .slice(0, UNKNOWN_KEYS_MAX)
    .flatMap((key) => nearestName(key, known) ?? [])
    .filter((name) => !Object.hasOwn(value, name))
  return meant.length === 0 ? value : { ...value, ...Object.fromEntries(meant.map((name) => [name, null])) }
}
