/** The guard before the job store of this process's dispatcher, and what a recovery of the store is handed. */
import { randomInt } from 'node:crypto'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { requireServer } from '../../adapters/postgres/servers.ts'
import { ArchiveRange } from '../../core/archive/range/archive-range.ts'
import type { ArchiveSource } from '../../core/archive/range/find-segment.ts'
import { readSignedEnds, type SignedEnd } from '../../core/archive/range/signed-ends.ts'
import { within } from '../../core/deadline.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import type { EventLog, TopicId } from '../../core/ports/event-log.ts'
import { createBodyDigest, createDigestKey } from '../../core/record/keyed-digest.ts'
import { planArchivedRest } from '../../dispatcher/plan-archived-rest.ts'
import type { RecoveryOptions } from '../../dispatcher/recover-store.ts'
import { guardStore, StoreGuard, type ArchiveWitness } from '../../dispatcher/store-guard.ts'
import { openArchiveSource } from './archive-stores.ts'
import type { Context } from './context.ts'

const RANDOM_STEPS = 2 ** 32
/** A bucket that hangs holds up deliveries for no longer. */
const ENDS_MS_MAX = 5_000

export interface GuardNeeds {
  /** Log and archive as one. */
  readonly log: EventLog
  readonly openArchive: () => Promise<ArchiveStore | null>
  readonly stopping: AbortSignal
}

export function openGuard(
  context: Context,
  opened: AsyncDisposableStack,
  { log, openArchive, stopping }: GuardNeeds,
): StoreGuard {
  const { database, processId } = context
  const openSource = (): Promise<ArchiveSource | null> => openArchiveSource(context, openArchive)
  return opened.use(
    new StoreGuard({
      ...{ ...context, ...recoveryParts(context, log), stopping },
      owner: processId,
      openStore: () => storeOfOneServer(context),
      archive: context.log.driver === 'kafka' ? null : openWitness(context, opened, { log, openSource }),
      lostConnections: () => database.lostConnections(),
    }),
  )
}

/** Of which nothing is sent to a server that the guard has not looked at. */
export function guardedStore({ config, database, logger }: Context, guard: StoreGuard): JobStore {
  const gated = database.gated(() => {
    guard.admit()
  })
  const store = createPostgresJobStore(gated, { logger, queued: config.queue.redis !== null })
  return guardStore(store, guard)
}

function storeOfOneServer({ database, logger }: Context): JobStore {
  let found: string | null = null
  const gated = database.gated((server) => {
    found ??= server
    requireServer(found, server)
  })
  return createPostgresJobStore(gated, { logger })
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

export function planRestOf(
  context: Context,
  log: EventLog,
): (ends: readonly SignedEnd[], ids: ReadonlySet<TopicId>, signal: AbortSignal) => Promise<void> {
  const { config } = context
  return (ends, ids, signal) => planArchivedRest({ config, ends, ids, deps: { ...context, log } }, signal)
}

async function endsOf(openSource: WitnessNeeds['openSource']): Promise<readonly SignedEnd[] | null> {
  const source = await openSource()
  return source === null ? null : readSignedEnds(source)
}

interface WitnessNeeds extends Pick<GuardNeeds, 'log'> {
  readonly openSource: () => Promise<ArchiveSource | null>
}

function openWitness(
  context: Context,
  opened: AsyncDisposableStack,
  { log, openSource }: WitnessNeeds,
): ArchiveWitness {
  const { clock, logger } = context
  const openThere = async (): Promise<ArchiveSource> => {
    const source = await openSource()
    if (source !== null) return source
    throw new HooktrailError('ARCHIVE_READER_MISSING', { reason: 'there is no archive' })
  }
  const range = opened.use(new ArchiveRange({ openSource: openThere, clock }))
  return {
    ends: async () => {
      try {
        const found = await within(() => endsOf(openSource), { ms: ENDS_MS_MAX, clock })
        if (found === null)
          logger.warn({}, 'the archive does not say whether the log was put back; the archiver looks again')
        return found?.value ?? null
      } catch (error) {
        if (!isHooktrailError(error)) throw error
        logger.warn(
          { err: error },
          'the archive cannot say whether the log was put back; the archiver looks again',
        )
        return null
      }
    },
    readArchived: (request) => range.read(request, null),
    planRest: planRestOf(context, log),
  }
}
