/** The guard before the job store of this process's dispatcher. */
import { randomInt } from 'node:crypto'
import type { EventLog } from '../../core/ports/event-log.ts'
import { createBodyDigest, createDigestKey } from '../../core/record/keyed-digest.ts'
import type { RecoveryOptions } from '../../dispatcher/recover-store.ts'
import { StoreGuard } from '../../dispatcher/store-guard.ts'
import type { Context } from './context.ts'

const RANDOM_STEPS = 2 ** 32

/** @param log log and archive as one */
export function openGuard(context: Context, log: EventLog, stopping: AbortSignal): StoreGuard {
  const { database, processId } = context
  return new StoreGuard({
    ...{ ...context, ...recoveryParts(context, log), stopping },
    owner: processId,
    lostConnections: () => database.lostConnections(),
  })
}

export function recoveryParts(context: Context, log: EventLog): RecoveryOptions & Pick<Context, 'store'> {
  const { config, digestKey, store, logger } = context
  return {
    ...{ log, store, logger },
    topicPrefix: config.log.topicPrefix,
    sources: config.sources,
    handlers: config.handlers,
    bodyDigest: createBodyDigest(createDigestKey(digestKey)),
    random: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
  }
}
