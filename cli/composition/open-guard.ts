/** The guard before the job store of this process's dispatcher. */
import { randomInt } from 'node:crypto'
import type { EventLog } from '../../core/ports/event-log.ts'
import { createBodyDigest, createDigestKey } from '../../core/record/keyed-digest.ts'
import { StoreGuard } from '../../dispatcher/store-guard.ts'
import type { Context } from './context.ts'

const RANDOM_STEPS = 2 ** 32

/** @param log log and archive as one */
export function openGuard(context: Context, log: EventLog, stopping: AbortSignal): StoreGuard {
  const { config, database, processId, digestKey } = context
  return new StoreGuard({
    ...{ ...context, log, stopping },
    topicPrefix: config.log.topicPrefix,
    sources: config.sources,
    handlers: config.handlers,
    bodyDigest: createBodyDigest(createDigestKey(digestKey)),
    random: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
    owner: processId,
    lostConnections: () => database.lostConnections(),
  })
}
