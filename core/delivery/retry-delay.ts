/**
 * When to try again. Pure: randomness comes in. Jitter of ± 20 % keeps the jobs of an endpoint that came back from
 * arriving all in one moment.
 */
import type { RetryConfig } from '../config/config.ts'

export const RETRY_JITTER = 0.2

/**
 * Milliseconds until the attempt after `attempt` (which counts from 1).
 * @param random a number in [0, 1)
 */
export function retryDelayMs(retry: RetryConfig, attempt: number, random: number): number {
  const factor = 1 - RETRY_JITTER + 2 * RETRY_JITTER * random
  return Math.round(plainDelayMs(retry.backoff, attempt) * factor)
}

function plainDelayMs(backoff: RetryConfig['backoff'], attempt: number): number {
  const retriesBefore = Math.max(attempt, 1) - 1
  switch (backoff.kind) {
    case 'list':
      return backoff.delaysMs[retriesBefore] ?? backoff.delaysMs.at(-1) ?? 0
    case 'exponential':
      return Math.min(backoff.intervalMs * 2 ** retriesBefore, backoff.intervalMsMax)
    case 'fixed':
      return backoff.intervalMs
    default:
      return backoff satisfies never
  }
}
