/**
 * The Retry-After header (RFC 9110 §10.2.3): seconds or an HTTP-date. Clamped, so that an endpoint cannot park a job
 * for ever; anything malformed counts as absent.
 */
export const RETRY_AFTER_MS_MAX = 24 * 60 * 60 * 1000

/** Milliseconds to wait, or null when the value is absent or malformed. */
export function retryAfterMs(value: string | null, nowMs: number): number | null {
  if (value === null) return null
  const text = value.trim()
  if (/^\d{1,10}$/.test(text)) return clamp(Number(text) * 1000)
  // Date.parse takes far more than HTTP-dates; each of their three forms begins with the day's name.
  if (!/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? /.test(text)) return null
  const at = Date.parse(/(?:GMT|UTC)$/.test(text) ? text : `${text} GMT`)
  return Number.isNaN(at) ? null : clamp(at - nowMs)
}

function clamp(ms: number): number {
  return Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX)
}
