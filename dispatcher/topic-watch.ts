/**
 * Notices that topics go on under other ids than those that a dispatcher was composed with, as after a log was put back
 * to an older copy (archiver/replace-travelled.ts). Who holds the old ids would read and plan nothing any more.
 */
import type { Logger } from '../core/log.ts'
import type { EventLog, Topic } from '../core/ports/event-log.ts'

const LOOK_MS = 5_000

export interface TopicWatchOptions {
  readonly log: Pick<EventLog, 'topics'>
  /** As everything was composed. */
  readonly topics: Iterable<Topic>
  readonly logger: Logger
  /** Composes everything again. */
  readonly renew: () => void
}

/** Resolves with the milliseconds until the next. A topic that is merely absent is left alone. */
export async function watchTopics({ log, topics, logger, renew }: TopicWatchOptions): Promise<number> {
  const ids = new Map((await log.topics()).map(({ name, id }) => [name, id]))
  const replaced = [...topics].filter(({ name, id }) => (ids.get(name) ?? id) !== id)
  if (replaced.length > 0) {
    logger.warn(
      { topics: replaced.map(({ name }) => name) },
      'topics go on under other ids: deliveries begin anew',
    )
    renew()
  }
  return LOOK_MS
}
