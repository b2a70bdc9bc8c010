/**
 * A loop around a bounded step. It outlives every operational error: it backs off, says what it waits for, logs the
 * first failure of a row and the recovery, and goes on (lessons 12, 40). A broken invariant ends it, and with it the
 * service: recovery happens at start.
 */
import { AssertionError } from 'node:assert/strict'
import type { Clock } from '../core/clock.ts'
import { explanationOf } from '../core/error/explanation-of.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { WaitList } from './wait-list.ts'
import { messageOf } from '../core/error/message-of.ts'

export interface LoopContext {
  readonly clock: Clock
  readonly logger: Logger
  readonly waits: WaitList
}

export interface Loop {
  readonly name: string
  /** Resolves with the milliseconds until the next step; 0 for at once. */
  readonly step: (signal: AbortSignal) => Promise<number>
}

const BACKOFF_MS_MIN = 50
const BACKOFF_MS_MAX = 5_000

export async function runLoop(loop: Loop, context: LoopContext, signal: AbortSignal): Promise<void> {
  let failures = 0
  while (!signal.aborted) {
    let pauseMs: number
    try {
      pauseMs = await loop.step(signal)
      if (failures > 0) context.logger.info({ loop: loop.name, failures }, 'goes on')
      failures = 0
      context.waits.clear(loop.name)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      pauseMs = backoffMs(failures++)
      noteFailure(loop.name, error, { ...context, failures })
    }
    if (pauseMs > 0) await context.clock.sleep(pauseMs, signal)
  }
}

export function backoffMs(failures: number): number {
  return Math.min(BACKOFF_MS_MIN * 2 ** Math.min(failures, 16), BACKOFF_MS_MAX)
}

export function reasonOf(error: unknown): string {
  return error instanceof HooktrailError ? `${error.code}: ${explanationOf(error)}` : messageOf(error)
}

function noteFailure(name: string, error: unknown, context: LoopContext & { failures: number }): void {
  context.waits.set(name, reasonOf(error))
  const fields = { loop: name, err: error }
  if (context.failures === 1) context.logger.warn(fields, 'waits and tries again')
  else context.logger.debug(fields, 'still waits')
}
