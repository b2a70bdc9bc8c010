/**
 * What a handler makes of one event before duplicates are known: wanted, filtered, expired, or an expression that
 * failed on it. Evaluated before the transaction, so that no filter runs while rows are locked.
 */
import type { EventRecord } from '../record/event-record.ts'
import { filterInput, type FilterInput, type PlanHandler } from './plan-handler.ts'

export type Match =
  | { readonly kind: 'matched' | 'filtered' | 'expired' }
  | { readonly kind: 'filter_error'; readonly detail: string }

export interface MatchContext {
  readonly eventTtlMs: number | null
  readonly nowMs: number
  /** The event was set aside after it broke a step: no filter is tried on it again. */
  readonly quarantined: boolean
}

const MATCHED: Match = { kind: 'matched' }
const FILTERED: Match = { kind: 'filtered' }
const EXPIRED: Match = { kind: 'expired' }
const DETAIL_CHARACTERS_MAX = 500

/** One match for each handler, in their order. */
export function matchEvent(
  event: EventRecord,
  handlers: readonly PlanHandler[],
  context: MatchContext,
): readonly Match[] {
  const input = filterInput(event)
  return handlers.map((handler) => {
    if (!handler.matchesType(event.type)) return FILTERED
    if (context.quarantined)
      return { kind: 'filter_error', detail: 'the record made its planning step fail twice' }
    if (context.eventTtlMs !== null && context.nowMs - event.receivedAtMs > context.eventTtlMs) return EXPIRED
    return evaluate(handler, input)
  })
}

function evaluate(handler: PlanHandler, input: () => FilterInput): Match {
  if (handler.filter === null) return MATCHED
  try {
    return handler.filter(input()) ? MATCHED : FILTERED
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { kind: 'filter_error', detail: detail.replaceAll('\0', '').slice(0, DETAIL_CHARACTERS_MAX) }
  }
}
