/**
 * A stop does not wait for a database that does not answer: nothing that is under way could be recorded there. Its
 * leases run out and its attempts become `unknown`, as after kill -9. For so long it is waited for, since a restart of
 * Postgres takes that long, and each outcome that is lost is a request that is sent again. It is asked over connections
 * of its own: those of the pool may all be busy with slow statements in a database that lives.
 */
import type { Database } from '../../adapters/postgres/database.ts'
import type { Clock } from '../../core/clock.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'

const SILENT_MS_MAX = 5_000
const ASK_EVERY_MS = 500
/** A server that lives and has no connection left. */
const TOO_MANY_CONNECTIONS = '53300'

export interface SilentDatabase {
  readonly database: Pick<Database, 'connect' | 'abandon'>
  readonly clock: Clock
  readonly logger: Logger
}

/** Asks until `stopped`, or until it gives the database up. */
export async function giveUpWhenSilent(
  { database, clock, logger }: SilentDatabase,
  stopped: AbortSignal,
): Promise<void> {
  let answeredAtMs = clock.monotonic()
  while (!stopped.aborted) {
    const late = clock.sleep(SILENT_MS_MAX, stopped).then(() => false)
    if (await Promise.race([answers(database), late])) answeredAtMs = clock.monotonic()
    else if (clock.monotonic() - answeredAtMs >= SILENT_MS_MAX) {
      logger.warn({ silentMs: SILENT_MS_MAX }, 'the database does not answer: the stop does not wait for it')
      database.abandon()
      return
    }
    await clock.sleep(ASK_EVERY_MS, stopped)
  }
}

/** Never rejects. */
async function answers(database: Pick<Database, 'connect'>): Promise<boolean> {
  try {
    await using connection = await database.connect()
    await connection.query({ text: 'SELECT 1', answerMsMax: SILENT_MS_MAX })
    return true
  } catch (error) {
    return isHooktrailError(error) && error.details['sqlState'] === TOO_MANY_CONNECTIONS
  }
}
