/**
 * What a handler makes of one event before duplicates are known: wanted, filtered, expired, or an expression that
 * failed on it. Evaluated before the transaction, so that no filter runs while rows are locked.
 */
import { matchesEvent } from '../match/event-pattern.ts'
import type { FilterContext } from '../match/filter.ts'
import type { EventRecord } from '../record/event-record.ts'
import { filterContext, type PlanHandler } from './plan-handler.ts'

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
  const filterVariables = filterContext(event)
  return handlers.map((handler) => {
    if (!matchesEvent(handler.events, event.type)) return FILTERED
    if (context.quarantined)
      return { kind: 'filter_error', detail: 'the record made its planning step fail twice' }
    if (context.eventTtlMs !== null && context.nowMs - event.receivedAtMs > context.eventTtlMs) return EXPIRED
    return evaluate(handler, filterVariables)
  })
}

function evaluate(handler: PlanHandler, filterVariables: () => FilterContext): Match {
  if (handler.filter === null) return MATCHED
  const result = handler.filter.evaluate(filterVariables())
  switch (result.kind) {
    case 'match':
      return MATCHED
    case 'no-match':
      return FILTERED
    case 'error':
      return {
        kind: 'filter_error',
        detail: result.detail.replaceAll('\0', '').slice(0, DETAIL_CHARACTERS_MAX),
      }
    default:
      return result satisfies never
  }
}
