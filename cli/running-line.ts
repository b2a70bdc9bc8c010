/**
 * "hooktrail is running" is said when it is so: listeners stand from the first moment on, but what else the process does
 * may wait for a database, a log or an archive that does not answer yet. Until then it is said what is waited for, again
 * whenever somebody else waits; the reasons are told by who waits.
 */
import type { ServiceState } from '../api/verdict.ts'
import type { Clock } from '../core/clock.ts'
import type { Logger } from '../core/log.ts'

export const WAITS_ASKED_MS = 500

export interface RunningLine {
  readonly services: () => Promise<readonly ServiceState[]>
  /** Of both lines. */
  readonly fields: Readonly<Record<string, unknown>>
  readonly clock: Clock
  readonly logger: Logger
}

/** Resolves when it was said, or when `signal` came first. */
export async function sayWhenRunning(
  { services, fields, clock, logger }: RunningLine,
  signal: AbortSignal,
): Promise<void> {
  let told = ''
  while (!signal.aborted) {
    const waits = (await services()).filter(({ waitingFor }) => waitingFor !== null)
    if (waits.length === 0) {
      logger.info({ ...fields }, 'hooktrail is running')
      return
    }
    const names = waits.map(({ name }) => name).join()
    const waitingFor = Object.fromEntries(waits.map((wait) => [wait.name, wait.waitingFor]))
    if (names !== told) logger.info({ ...fields, waits: waitingFor }, 'hooktrail listens, and waits')
    told = names
    await clock.sleep(WAITS_ASKED_MS, signal)
  }
}
