/**
 * What the end of a request means for its job and its handler: the one place that decides it (delivery §4).
 * Pure; nothing else chooses between completed, retryable and dead.
 */
import type { RetryConfig } from '../config/config.ts'
import type { Match } from '../plan/match-event.ts'
import type { NextState } from '../ports/delivery-store.ts'
import { retryAfterMs } from './retry-after.ts'
import { retryDelayMs } from './retry-delay.ts'
import type { SendResult } from './sender.ts'

/** Classes of a filter that failed at planning, and of one that was asked again and does not want the event. */
export const FILTER_ERROR = 'filter_error'
export const FILTERED = 'filtered'

export interface OutcomeContext {
  readonly attempt: number
  readonly attemptsMax: number
  readonly retry: RetryConfig
  readonly nowMs: number
  /** In [0, 1). */
  readonly random: number
}

export interface Decision {
  readonly next: NextState
  readonly errorClass: string | null
  readonly errorDetail: string | null
  /** Why the handler is disabled with it, or null. */
  readonly disables: 'gone' | 'blocked' | null
}

export type FinishedSend = Exclude<SendResult, { readonly kind: 'abandoned' }>

export function decideOutcome(result: FinishedSend, context: OutcomeContext): Decision {
  switch (result.kind) {
    case 'response':
      return decideResponse(result.statusCode, result.retryAfter, context)
    case 'failed':
      return decideFailure(result, context)
    default:
      return result satisfies never
  }
}

/** There was no request. The same transform fails on the same event at every attempt, so there are no others. */
export function transformFailed(detail: string): Decision {
  return { next: { state: 'dead' }, errorClass: 'transform_error', errorDetail: detail, disables: null }
}

/** There was no request. Null: the handler wants the event. */
export function filterAnswered(match: Match): Decision | null {
  const dead = { next: { state: 'dead' }, disables: null } as const
  switch (match.kind) {
    case 'matched':
      return null
    case 'filtered':
    case 'expired':
      return { ...dead, errorClass: FILTERED, errorDetail: 'the filter in force does not want the event' }
    case 'filter_error':
      return { ...dead, errorClass: FILTER_ERROR, errorDetail: match.detail }
    default:
      return match satisfies never
  }
}

function decideResponse(status: number, retryAfter: string | null, context: OutcomeContext): Decision {
  if (status >= 200 && status < 300) {
    return { next: { state: 'completed' }, errorClass: null, errorDetail: null, disables: null }
  }
  const error = { errorClass: classOfStatus(status), errorDetail: `HTTP ${status}` }
  if (status === 410) return { next: { state: 'dead', disableHandler: true }, ...error, disables: 'gone' }
  const asked = retryAfterMs(retryAfter, context.nowMs) ?? 0
  return { next: retryOrDead(asked, context), ...error, disables: null }
}

function decideFailure(result: Extract<SendResult, { kind: 'failed' }>, context: OutcomeContext): Decision {
  const error = { errorClass: result.errorClass, errorDetail: result.detail }
  if (result.errorClass !== 'blocked') return { next: retryOrDead(0, context), ...error, disables: null }
  // The handler's fault, not the event's: the job stays open whatever its attempts, and waits for the handler.
  const delayMs = retryDelayMs(context.retry, context.attempt, context.random)
  return { next: { state: 'retryable', delayMs, disableHandler: true }, ...error, disables: 'blocked' }
}

function retryOrDead(delayMsAsked: number, context: OutcomeContext): NextState {
  if (context.attempt >= context.attemptsMax) return { state: 'dead' }
  const delayMs = retryDelayMs(context.retry, context.attempt, context.random)
  return { state: 'retryable', delayMs: Math.max(delayMs, delayMsAsked) }
}

function classOfStatus(status: number): string {
  if (status < 400) return 'http_3xx'
  return status < 500 ? 'http_4xx' : 'http_5xx'
}
