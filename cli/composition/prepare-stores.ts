/**
 * What must be true of database and log before anything runs on them: durable, migrated, ours, topics there. A server of
 * somebody else that does not answer is waited for, with backoff; whatever it refuses ends the start.
 */
import { createHash } from 'node:crypto'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { refuseMoved } from '../../adapters/postgres/move/move-marks.ts'
import { requireDurableSettings } from '../../adapters/postgres/session.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'
import type { EventLog } from '../../core/ports/event-log.ts'
import type { StoreIdentity } from '../../core/ports/maintenance-store.ts'
import { topicSpecs } from '../../core/topics.ts'
import type { Context } from './context.ts'
import { openLog } from './open-log.ts'

const WAIT_MS_MIN = 250
const WAIT_MS_MAX = 10_000

/** @throws STORE_MOVED, STORE_MOVE_UNFINISHED, STORE_DIGEST_KEY_MISMATCH, and what prepareSchema throws */
export async function prepareDatabase(context: Context): Promise<StoreIdentity> {
  await prepareSchema(context)
  await refuseMoved(context.database, context.log.driver)
  return identifyStore(context)
}

/** @throws LOG_FSYNC_OFF, STORE_SCHEMA_NEWER, STORE_SCHEMA_CHANGED, STORE_UNAVAILABLE, … */
export async function prepareSchema({ database }: Pick<Context, 'database'>): Promise<void> {
  await requireDurableSettings(database)
  await migrate(database)
}

/** @throws STORE_DIGEST_KEY_MISMATCH */
export function identifyStore({ store, digestKey }: Context): Promise<StoreIdentity> {
  return store.identify(fingerprintOf(digestKey))
}

/** From here on every part of this thread reads and appends through `context.log`. Where the log is in the database, that is prepared. */
export async function prepareLog(context: Context): Promise<EventLog & AsyncDisposable> {
  await using undo = new AsyncDisposableStack()
  const log = undo.use(await openLog(context))
  await log.ensureTopics(topicSpecs(context.config))
  context.log.open(log)
  undo.move()
  return log
}

export interface Awaited {
  /** For people. */
  readonly name: string
  readonly signal: AbortSignal
  /** Gets a line for /health whenever there was no answer. */
  readonly onWait: (line: string) => void
}

/** Null when the signal came first. */
export async function waitFor<T>(
  context: Context,
  { name, signal, onWait }: Awaited,
  prepare: (context: Context) => Promise<T>,
): Promise<T | null> {
  for (let waitMs = WAIT_MS_MIN; !signal.aborted; waitMs = Math.min(2 * waitMs, WAIT_MS_MAX)) {
    try {
      return await prepare(context)
    } catch (error) {
      if (!isOutage(error)) throw error
      onWait(`${name}: ${reasonOf(error)}`)
      context.logger.warn({ reason: reasonOf(error), againInMs: waitMs }, `waiting for ${name}`)
    }
    await context.clock.sleep(waitMs, signal)
  }
  return null
}

function isOutage(error: unknown): boolean {
  return (
    isHooktrailError(error, 'STORE_UNAVAILABLE') ||
    isHooktrailError(error, 'STORE_FULL') ||
    isHooktrailError(error, 'LOG_UNAVAILABLE') ||
    isHooktrailError(error, 'ARCHIVE_STORE_UNAVAILABLE') ||
    // It may be made later, by whoever sets up the stores.
    isHooktrailError(error, 'ARCHIVE_BUCKET_MISSING') ||
    // Who keeps the key may be away, and a key may be replaced or run out: receiving and delivering go on.
    isHooktrailError(error, 'ARCHIVE_SIGNER_FAILED') ||
    isHooktrailError(error, 'ARCHIVE_KEY_RETIRED') ||
    isHooktrailError(error, 'ARCHIVE_KEY_EXPIRED')
  )
}

function reasonOf(error: unknown): string {
  const reason = isHooktrailError(error) ? error.details['reason'] : null
  if (typeof reason === 'string' && reason !== '') return reason
  return messageOf(error)
}

function fingerprintOf(digestKey: string): string {
  return createHash('sha256').update(`hooktrail digest key\n${digestKey}`).digest('hex').slice(0, 16)
}
