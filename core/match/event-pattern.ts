/**
 * Event patterns of a handler: an exact type, `*`, or `prefix.*`. Nothing else has a meaning, so that a pattern never
 * matches more than its reader thinks; no patterns at all match every event.
 */

const PATTERN = /^(?:\*|[^\s*]+|[^\s*]+\.\*)$/
const PATTERN_CHARACTERS_MAX = 256

export function isEventPattern(pattern: string): boolean {
  return pattern.length <= PATTERN_CHARACTERS_MAX && PATTERN.test(pattern)
}

export function matchesEvent(patterns: readonly string[], type: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => matchesPattern(pattern, type))
}

function matchesPattern(pattern: string, type: string): boolean {
  if (pattern === '*') return true
  // `invoice.*` needs something after the dot.
  if (pattern.endsWith('.*')) return type.length >= pattern.length && type.startsWith(pattern.slice(0, -1))
  return pattern === type
}
