/**
 * Durations, sizes rates and shares as people write them: `5s`, `64KiB`, `50/s`, `70%`. Null for what is none of these, so that the
 * caller can say where it stood. Results are whole milliseconds and bytes; a share is a ratio from 0 to 1.
 */

const DURATION_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  y: 31_536_000_000,
}

const SIZE_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

/** `5s`, `1.5h`, `100ms`; 0 needs no unit. */
export function parseDurationMs(text: string): number | null {
  return parseQuantity(text, DURATION_MS)
}

/** `5MiB`, `64KB`, or plain bytes. */
export function parseSizeBytes(text: string): number | null {
  return parseQuantity(/^\d+$/.test(text) ? `${text}b` : text.toLowerCase(), SIZE_BYTES)
}

/** `70%` is 0.7. */
export function parsePercent(text: string): number | null {
  const match = /^(\d{1,3}(?:\.\d{1,3})?) ?%$/.exec(text.trim())
  const percent = Number(match?.[1] ?? NaN)
  return percent <= 100 ? percent / 100 : null
}

/** `50/s`, `300/m`; a number alone is a second's. */
export function parsePerSecond(text: string): number | null {
  const match = /^(\d{1,9}) ?(?:\/ ?([sm]))?$/.exec(text.trim())
  if (match === null) return null
  return Number(match[1]) / (match[2] === 'm' ? 60 : 1)
}

/** The largest unit that divides the duration: 604 800 000 is `7d`. */
export function formatDuration(durationMs: number): string {
  const unit = Object.entries(DURATION_MS)
    .reverse()
    .find(([, size]) => durationMs >= size && durationMs % size === 0)
  return unit === undefined ? `${durationMs}ms` : `${durationMs / unit[1]}${unit[0]}`
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | null {
  const trimmed = text.trim()
  if (trimmed === '0') return 0
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([a-zA-Z]{1,3})$/.exec(trimmed)
  const unit = match?.[2]
  if (match === null || unit === undefined || !Object.hasOwn(units, unit)) return null
  const result = Math.round(Number(match[1]) * (units[unit] ?? NaN))
  return Number.isSafeInteger(result) ? result : null
}
