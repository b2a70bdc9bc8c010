/** What planning needs to know of a handler, compiled once from its configuration. */
import type { EventRecord } from '../record/event-record.ts'

/** The variables of a filter expression. */
export interface FilterInput {
  readonly payload: unknown
  readonly event: {
    readonly id: string
    readonly source: string
    readonly type: string
    readonly received_at: string
  }
  readonly headers: Readonly<Record<string, string>>
}

export interface PlanHandler {
  readonly name: string
  readonly attemptsMax: number
  readonly matchesType: (type: string) => boolean
  /** Throws where the expression cannot be evaluated on this event. */
  readonly filter: ((input: FilterInput) => boolean) | null
}

/** An event's filter variables, made on first use: its JSON is parsed at most once, and only when a filter asks. */
export function filterInput(event: EventRecord): () => FilterInput {
  let made: FilterInput | null = null
  return () => {
    made ??= {
      payload: parsePayload(event.body),
      event: {
        id: event.id,
        source: event.source,
        type: event.type,
        received_at: new Date(event.receivedAtMs).toISOString(),
      },
      headers: Object.fromEntries(
        (event.request?.headers ?? []).map(([name, value]) => [name.toLowerCase(), value]),
      ),
    }
    return made
  }
}

/** A body that is not JSON is null for filters, and still delivered as it is. */
function parsePayload(body: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return value
  } catch {
    return null
  }
}
