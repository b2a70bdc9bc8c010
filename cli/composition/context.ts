/**
 * Everything that services share: keys, database and store. Opening it needs no database that answers, unless it
 * is our own Postgres, whose failure to start is final. Given back in the reverse order.
 */
import { resolve } from 'node:path'
import { createPrometheusMetrics, type PrometheusMetrics } from '../../adapters/http/metrics.ts'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { openHome } from '../../adapters/postgres/own-postgres-folder.ts'
import { startOwnPostgres, type OwnPostgres } from '../../adapters/postgres/own-postgres.ts'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { ensureApiToken, ensureDigestKey } from '../../adapters/system/key-files.ts'
import type { Clock } from '../../core/clock.ts'
import type { Config, Settings } from '../../core/config/config.ts'
import { generationOf } from '../../core/config/generation.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { DeferredLog } from './deferred-log.ts'
import { giveUpWhenSilent } from './silent-database.ts'

export interface Context extends AsyncDisposable {
  readonly config: Config
  readonly home: string
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: PrometheusMetrics
  /** Of this thread's pool; each thread of a process has its own. */
  readonly connectionsMax: number
  readonly processId: string
  readonly digestKey: string
  readonly apiToken: string
  readonly database: Database
  /** Opened by prepareLog. */
  readonly log: DeferredLog
  readonly store: JobStore
  /** Null: the database is somebody else's. */
  readonly postgres: LocalPostgres | null
  /** A stop begins: what it waits for may not be a database that does not answer. */
  readonly beginStop: () => void
}

export interface LocalPostgres extends Pick<OwnPostgres, 'url' | 'dataDirectory'> {
  /** Rejects when Postgres cannot be kept running; null in a thread, where another watches it. */
  readonly done: Promise<void> | null
}

export interface ContextOptions {
  /** Of this thread's part of hooktrail's own Postgres; absent: as everybody. */
  readonly niceness?: number
  readonly config: Settings
  readonly home: string
  readonly logger: Logger
  /** Of its database connections; absent: that of every process which serves. */
  readonly applicationName?: string
  readonly connectionsMax: number
  /** Of the process, for its threads. */
  readonly processId: string
  /** Hooktrail's own Postgres that runs already. */
  readonly postgres?: LocalPostgres | null
  /** Runs before a database is started or asked, but where the home is locked behind that lock. */
  readonly beforeDatabase?: () => Promise<void>
  /** Asked between the steps. */
  readonly signal: AbortSignal
}

export async function openContext(options: ContextOptions): Promise<Context> {
  const { config: settings, connectionsMax, processId, logger, signal } = options
  const home = resolve(options.home)
  const clock = systemClock
  await openHome(home)
  await using undo = new AsyncDisposableStack()
  const { beforeDatabase = () => Promise.resolve() } = options
  if (settings.database.url !== null) await beforeDatabase()
  const postgres =
    settings.database.url === null
      ? (options.postgres ??
        undo.use(await startOwnPostgres({ home, clock, logger, beforeStart: beforeDatabase })))
      : null
  signal.throwIfAborted()
  const digestKey = await digestKeyOf(settings, home)
  const config = { ...settings, generation: generationOf(settings, digestKey) }
  const apiToken = config.api.authToken ?? (await ensureApiToken(home))
  const database = undo.use(openDatabase(databaseOptions(options, postgres)))
  const store = createPostgresJobStore(database, { logger, queued: config.queue.redis !== null })
  const kept = undo.move()
  const ended = new AbortController()
  let watching: Promise<void> | null = null
  return {
    ...{ config, home, clock, logger, digestKey, apiToken, connectionsMax, processId },
    ...{ database, store, postgres },
    metrics: createPrometheusMetrics(),
    log: new DeferredLog(config.log.kafka === null ? 'postgres' : 'kafka'),
    beginStop: () => {
      watching ??= giveUpWhenSilent({ database, clock, logger }, ended.signal)
    },
    [Symbol.asyncDispose]: async () => {
      await kept.disposeAsync()
      ended.abort()
      await watching
    },
  }
}

function databaseOptions(
  { config, connectionsMax, processId, logger, niceness, applicationName = 'hooktrail' }: ContextOptions,
  own: LocalPostgres | null,
) {
  const url = config.database.url ?? own?.url
  if (url === undefined) throw new TypeError('neither a database URL nor a Postgres of our own')
  const priority = own === null || niceness === undefined ? {} : { niceness }
  return { url, connectionsMax, processId, applicationName, logger, ...priority }
}

async function digestKeyOf(config: Settings, home: string): Promise<string> {
  if (config.digestKey !== null) return config.digestKey
  if (config.database.url !== null) throw new HooktrailError('DIGEST_KEY_MISSING')
  return ensureDigestKey(home)
}
