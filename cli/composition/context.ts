/** Everything that services share: keys, stores, log and queue. Built in order, given back in the reverse order. */
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { createPrometheusMetrics, type PrometheusMetrics } from '../../adapters/http/metrics.ts'
import { createPostgresEventLog, type PostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { createPostgresJobQueue } from '../../adapters/postgres/job-queue.ts'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { openHome } from '../../adapters/postgres/own-postgres-folder.ts'
import { startOwnPostgres, type OwnPostgres } from '../../adapters/postgres/own-postgres.ts'
import { openDatabase, requireDurableSettings, type Database } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { ensureApiToken, ensureDigestKey } from '../../adapters/system/key-files.ts'
import type { Clock } from '../../core/clock.ts'
import type { Config } from '../../core/config/config.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import type { JobQueue } from '../../core/ports/job-queue.ts'
import type { JobStore, StoreIdentity } from '../../core/ports/job-store.ts'
import { topicSpecs } from '../../core/topics.ts'

export interface Context extends AsyncDisposable {
  readonly config: Config
  readonly home: string
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: PrometheusMetrics
  readonly digestKey: string
  readonly apiToken: string
  readonly database: Database
  readonly log: PostgresEventLog
  readonly store: JobStore
  readonly queue: JobQueue
  readonly identity: StoreIdentity
  /** Rejects when our own Postgres cannot be kept alive. */
  readonly postgresDone: Promise<void> | null
}

export interface ContextOptions {
  readonly config: Config
  readonly home: string
  readonly logger: Logger
}

export async function openContext({ config, home: given, logger }: ContextOptions): Promise<Context> {
  const home = resolve(given)
  const clock = systemClock
  await openHome(home)
  await using undo = new AsyncDisposableStack()
  const own = config.database.url === null ? undo.use(await startOwnPostgres({ home, clock, logger })) : null
  const digestKey = await digestKeyOf(config, home)
  const apiToken = config.api.authToken ?? (await ensureApiToken(home))
  const database = undo.use(openDatabase(databaseOptions(config, own, logger)))
  await requireDurableSettings(database)
  await migrate(database)
  const store = createPostgresJobStore(database, { logger })
  const identity = await store.identify(fingerprintOf(digestKey))
  const log = undo.use(
    await createPostgresEventLog(database, {
      topicPrefix: config.log.topicPrefix,
      retentionMs: config.log.retentionMs,
      clock,
      logger,
      dataDirectory: own?.dataDirectory ?? null,
    }),
  )
  await log.ensureTopics(topicSpecs(config))
  const queue = undo.use(createPostgresJobQueue(database, store, { clock, logger }))
  const metrics = createPrometheusMetrics()
  const kept = undo.move()
  return {
    ...{ config, home, clock, logger, metrics, digestKey, apiToken, database, log, store, queue, identity },
    postgresDone: own?.done ?? null,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function databaseOptions(config: Config, own: OwnPostgres | null, logger: Logger) {
  const url = config.database.url ?? own?.url
  if (url === undefined) throw new TypeError('neither a database URL nor a Postgres of our own')
  const { connectionsMax } = config.database
  return { url, connectionsMax, applicationName: 'hooktrail', logger }
}

async function digestKeyOf(config: Config, home: string): Promise<string> {
  if (config.digestKey !== null) return config.digestKey
  if (config.database.url !== null) throw new HooktrailError('DIGEST_KEY_MISSING')
  return ensureDigestKey(home)
}

function fingerprintOf(digestKey: string): string {
  return createHash('sha256').update(`hooktrail digest key\n${digestKey}`).digest('hex').slice(0, 16)
}
