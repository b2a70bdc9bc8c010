/** The signed time of a request as seconds since the epoch, from what providers send: seconds, milliseconds or RFC 3339. */
const SECONDS_PATTERN = /^\d{1,11}$/
const MILLISECONDS_PATTERN = /^\d{12,14}$/
const RFC_3339_PATTERN = /^\d{4}-\d\d-\d\dT\d\d:\d\d/

/** Null when the text is no time. */
export function signedSeconds(text: string): number | null {
  if (SECONDS_PATTERN.test(text)) return Number(text)
  if (MILLISECONDS_PATTERN.test(text)) return Math.floor(Number(text) / 1000)
  const ms = RFC_3339_PATTERN.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(ms) ? null : Math.floor(ms / 1000)
}

export interface Tolerance {
  readonly toleranceSeconds: number
  readonly futureChecked: boolean
}

/** Exactly `toleranceSeconds` old is still in time. */
export function isInTime(seconds: number, nowMs: number, tolerance: Tolerance): boolean {
  const ageSeconds = Math.floor(nowMs / 1000) - seconds
  if (ageSeconds > tolerance.toleranceSeconds) return false
  return !tolerance.futureChecked || -ageSeconds <= tolerance.toleranceSeconds
}
