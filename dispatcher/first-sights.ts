/**
 * How long first sights of keys are kept (delivery §1): whoever is planned behind the index takes the verdict from them.
 * As a rule that is what the log holds, and the dedup window; but a backlog may lie in the archive, however old, and
 * while one does nothing is forgotten. So a handler that was paused for months gets no duplicate that the others did not.
 */
import type { Clock } from '../core/clock.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'
import type { EventLog, Topic } from '../core/ports/event-log.ts'
import type { JobStore } from '../core/ports/job-store.ts'
import { INDEX_HANDLER } from '../core/ports/plan-store.ts'

export interface FirstSightsOptions {
  readonly log: Pick<EventLog, 'offsetAt'>
  readonly store: Pick<JobStore, 'positions'>
  readonly clock: Clock
  readonly logger: Logger
  /** Of the sources. */
  readonly topics: readonly Topic[]
  /** Of the configuration: one that was removed holds up nothing. */
  readonly handlers: readonly string[]
  readonly retentionMs: number
  readonly windowMs: number
}

/** Null: nothing may be forgotten now. */
export async function firstSeenMs(options: FirstSightsOptions): Promise<number | null> {
  const { retentionMs, windowMs, logger } = options
  try {
    return (await isAnybodyBehind(options)) ? null : retentionMs + windowMs
  } catch (error) {
    if (!isHooktrailError(error)) throw error
    logger.debug({ err: error }, 'first sights of keys are kept until log and store answer')
    return null
  }
}

/** Whether somebody's next event is older than what the log has to keep. */
async function isAnybodyBehind({ log, store, clock, topics, ...rest }: FirstSightsOptions): Promise<boolean> {
  const waits = new Set([INDEX_HANDLER, ...rest.handlers])
  const since = BigInt(Math.floor(clock.now() - rest.retentionMs))
  for (const { name, id, partitions } of topics)
    for (let partition = 0; partition < partitions; partition++) {
      const young = await log.offsetAt({ topic: name, topicId: id, partition }, since)
      const positions = await store.positions(id, partition)
      if (positions.some(({ handler, next }) => waits.has(handler) && next < young)) return true
    }
  return false
}
