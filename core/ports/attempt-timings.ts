/** How long the parts of one request took; null where it did not come to it, or was not needed. */
export interface AttemptTimings {
  readonly totalMs: number
  readonly dnsMs: number | null
  readonly connectMs: number | null
  readonly tlsMs: number | null
  readonly firstByteMs: number | null
}
