/**
 * What must be true of the database before anything runs on it: durable, migrated, ours, topics there. A database of
 * somebody else that does not answer is waited for, with backoff; whatever it refuses ends the start.
 */
import { createHash } from 'node:crypto'
import { createPostgresEventLog, type PostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { requireDurableSettings } from '../../adapters/postgres/pool.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { StoreIdentity } from '../../core/ports/job-store.ts'
import { topicSpecs } from '../../core/topics.ts'
import type { Context } from './context.ts'
import { messageOf } from '../../core/error/message-of.ts'

const WAIT_MS_MIN = 250
const WAIT_MS_MAX = 10_000

export interface PreparedStores {
  readonly identity: StoreIdentity
  readonly log: PostgresEventLog
}

/** @throws LOG_FSYNC_OFF, STORE_SCHEMA_NEWER, STORE_SCHEMA_CHANGED, STORE_DIGEST_KEY_MISMATCH, STORE_UNAVAILABLE, … */
export async function prepareStores(context: Context): Promise<PreparedStores> {
  const { config, database, store, clock, logger, postgres } = context
  await requireDurableSettings(database)
  await migrate(database)
  const identity = await store.identify(fingerprintOf(context.digestKey))
  await using undo = new AsyncDisposableStack()
  const log = undo.use(
    await createPostgresEventLog(database, {
      topicPrefix: config.log.topicPrefix,
      retentionMs: config.log.retentionMs,
      clock,
      logger,
      dataDirectory: postgres?.dataDirectory ?? null,
    }),
  )
  await log.ensureTopics(topicSpecs(config))
  context.log.open(log)
  undo.move()
  return { identity, log }
}

/** Null when `signal` came first. `onWait` gets a line for /health whenever the database did not answer. */
export async function waitForStores(
  context: Context,
  signal: AbortSignal,
  onWait: (line: string) => void,
): Promise<PreparedStores | null> {
  for (let waitMs = WAIT_MS_MIN; !signal.aborted; waitMs = Math.min(2 * waitMs, WAIT_MS_MAX)) {
    try {
      return await prepareStores(context)
    } catch (error) {
      if (!isOutage(error)) throw error
      onWait(`the database: ${reasonOf(error)}`)
      context.logger.warn({ reason: reasonOf(error), againInMs: waitMs }, 'waiting for the database')
    }
    await context.clock.sleep(waitMs, signal)
  }
  return null
}

function isOutage(error: unknown): boolean {
  return (
    isHooktrailError(error, 'STORE_UNAVAILABLE') ||
    isHooktrailError(error, 'STORE_FULL') ||
    isHooktrailError(error, 'LOG_UNAVAILABLE')
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
