/**
 * How an open breaker closes (delivery §6): rounds of 1, 2, 4 … probes, each of another event, until a round would be as
 * wide as the handler's concurrency. A round of which half failed opens it again, for longer each time. Pure.
 */
import { FAILED_SHARE } from './breaker-window.ts'

/** Before the first round, and doubled by each that failed. */
export const PAUSE_MS_MIN = 5_000
export const PAUSE_MS_MAX = 60_000
export const FIRST_PROBES = 1

/** Of probes that were sent; those that were not say nothing. */
export interface RoundResult {
  readonly passed: number
  readonly failed: number
}

export type RampStep =
  | { readonly kind: 'close' }
  | { readonly kind: 'widen'; readonly probes: number }
  | { readonly kind: 'reopen'; readonly pauseMs: number; readonly failures: number }

export function nextStep(
  { probes, failures }: { readonly probes: number; readonly failures: number },
  { passed, failed }: RoundResult,
  concurrency: number,
): RampStep {
  if (passed + failed === 0) return { kind: 'reopen', pauseMs: PAUSE_MS_MIN, failures }
  if (failed >= (passed + failed) * FAILED_SHARE)
    return { kind: 'reopen', pauseMs: pauseMs(failures + 1), failures: failures + 1 }
  return probes * 2 >= concurrency ? { kind: 'close' } : { kind: 'widen', probes: probes * 2 }
}

export function pauseMs(failures: number): number {
  return Math.min(PAUSE_MS_MIN * 2 ** Math.min(failures, 16), PAUSE_MS_MAX)
}
