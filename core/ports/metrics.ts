/** Port: what parts count. Names, help and label names stand in core/metrics-catalogue.ts; label values are bounded. */
export interface Metrics {
  /** Adds to a counter. */
  count(name: string, labels?: Readonly<Record<string, string>>, by?: number): void
  /** Sets a gauge; null: unknown, and so absent. */
  set(name: string, labels: Readonly<Record<string, string>>, value: number | null): void
  /** Observes a duration in seconds (or a size, as the name says) in a histogram. */
  observe(name: string, labels: Readonly<Record<string, string>>, value: number): void
}
