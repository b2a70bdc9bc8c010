/** What planning needs to know of a handler, compiled once from its configuration. */
import type { HandlerConfig } from '../config/config.ts'
import { compileFilter, type Filter, type FilterContext } from '../match/filter.ts'
import type { EventRecord } from '../record/event-record.ts'

export interface PlanHandler {
  readonly name: string
  readonly attemptsMax: number
  readonly events: readonly string[]
  readonly filter: Filter | null
}

export function compileHandler({ name, retry, events, filter }: HandlerConfig): PlanHandler {
  return {
    name,
    attemptsMax: retry.attemptsMax,
    events,
    filter: filter === null ? null : compileFilter(filter),
  }
}

/** An event's filter variables, made on first use: its JSON is parsed at most once, and only when a filter asks. */
export function filterContext(event: EventRecord): () => FilterContext {
  let context: FilterContext | null = null
  return () => (context ??= makeContext(event))
}

function makeContext(event: EventRecord): FilterContext {
  let parsed: { readonly payload: unknown } | null = null
  return {
    get payload() {
      parsed ??= { payload: parsePayload(event) }
      return parsed.payload
    },
    event,
    headers: Object.fromEntries(
      (event.request?.headers ?? []).map(([name, value]) => [name.toLowerCase(), value]),
    ),
  }
}

/** Undefined when the body is no JSON, and was not decoded: filters that need it fail on it, and the event is delivered as it is. */
function parsePayload({ decoded, body }: EventRecord): unknown {
  try {
    const value: unknown = JSON.parse(decoded ?? body.toString('utf8'))
    return value
  } catch {
    return undefined
  }
}
