/**
 * Counts the repeats that the dedup window answered without an append, and puts a summary on the audit topic each
 * minute: what was not kept must still be accounted for. Counts of a failed append are added to the next one.
 */
import type { AppendRecord, Topic } from '../core/ports/event-log.ts'
import type { Appender } from './appender.ts'

export const SUMMARY_INTERVAL_MS = 60_000

export class DuplicateSummary {
  readonly #appender: Appender
  readonly #topic: () => Topic | null
  /** By configured source: bounded. */
  #counts = new Map<string, number>()
  #sinceMs: number

  constructor(appender: Appender, topic: () => Topic | null, nowMs: number) {
    this.#appender = appender
    this.#topic = topic
    this.#sinceMs = nowMs
  }

  count(source: string): void {
    this.#counts.set(source, (this.#counts.get(source) ?? 0) + 1)
  }

  /** Writes one record when anything was counted. */
  async step(nowMs: number): Promise<void> {
    const topic = this.#topic()
    if (this.#counts.size === 0 || topic === null) return
    const counts = this.#counts
    const sinceMs = this.#sinceMs
    this.#counts = new Map()
    this.#sinceMs = nowMs
    const appended = this.#appender.append(summaryRecord(topic, { counts, sinceMs, nowMs }))
    try {
      if (appended === null) throw new Error('too many records wait for the log')
      await appended
    } catch (error) {
      for (const [source, n] of counts) this.#counts.set(source, (this.#counts.get(source) ?? 0) + n)
      this.#sinceMs = sinceMs
      throw error
    }
  }
}

interface Summary {
  readonly counts: ReadonlyMap<string, number>
  readonly sinceMs: number
  readonly nowMs: number
}

function summaryRecord(topic: Topic, { counts, sinceMs, nowMs }: Summary): AppendRecord {
  const value = {
    actor: 'system:ingress',
    action: 'ingress.duplicates',
    target: 'sources',
    reason: null,
    details: {
      since: new Date(sinceMs).toISOString(),
      until: new Date(nowMs).toISOString(),
      answered_as_duplicate: Object.fromEntries(counts),
    },
    created_at: new Date(nowMs).toISOString(),
  }
  return {
    topic,
    partition: 0,
    key: Buffer.from('ingress'),
    value: Buffer.from(JSON.stringify(value)),
    headers: [{ name: 'content-type', value: Buffer.from('application/json') }],
  }
}
