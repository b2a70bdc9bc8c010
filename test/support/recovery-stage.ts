/**
 * A job store with a log apart from it, for tests that put the store back to an older copy: lives of one dispatcher after
 * the other, each on the store or on a copy of it, all on the same log. A copy is the whole database, as the server makes it.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { Logger } from '../../core/log.ts'
import type { Disagreement } from '../../core/ports/report-store.ts'
import type { EventLog } from '../../core/ports/event-log.ts'
import { parseFact, type Fact } from '../../core/recovery/fact.ts'
import type { Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import type { ComposeDeps } from '../../dispatcher/dispatcher-deps.ts'
import { RELAY_KINDS } from '../../dispatcher/relay.ts'
import { rebuildStore, type Rebuilt } from '../../dispatcher/rebuild-store.ts'
import { guardStore, StoreGuard, type ArchiveWitness } from '../../dispatcher/store-guard.ts'
import { tellingPartitions } from '../../dispatcher/store-witness.ts'
import { openDispatcherStage, type DispatcherStage, type StageOptions } from './dispatcher-stage.ts'
import { eventually } from './installation.ts'
import { createMigratedDatabase, createTestDatabase, execute, silentLogger } from './postgres.ts'

const TOLD_MS_MAX = 30_000
const NO_METRICS = { count: () => undefined, set: () => undefined, observe: () => undefined }

export interface Life extends DispatcherStage {
  readonly guard: StoreGuard
  /** Behind the guard. */
  compose(overrides?: Partial<ComposeDeps>): Promise<Dispatcher>
  /** Appends to the log what the outbox has, until it has nothing. */
  tell(dispatcher: Dispatcher): Promise<void>
  rebuild(): Promise<Rebuilt>
  /** Of the report. */
  disagreeing(): Promise<readonly Disagreement[]>
}

export interface RecoveryStage extends AsyncDisposable {
  /** One process life; the one before has ended. */
  live(databaseUrl: string, options: LifeOptions): Promise<Life>
  /** Nobody may be connected. Resolves with the URL of the copy. */
  copy(databaseUrl: string): Promise<string>
  /** Of a database that nobody has used. */
  empty(): Promise<string>
  readonly databaseUrl: string
  /** Every fact that the log holds, repetitions and all. */
  facts(): Promise<readonly Fact[]>
}

export type LifeOptions = Pick<StageOptions, 'handlers' | 'partitions'> & {
  readonly logger?: Logger
  /** Of a log that travels with its store. */
  readonly archive?: ArchiveWitness | null
}

export async function openRecoveryStage(): Promise<RecoveryStage> {
  await using undo = new AsyncDisposableStack()
  const [store, logServer] = [
    undo.use(await createMigratedDatabase()),
    undo.use(await createMigratedDatabase()),
  ]
  const database = undo.use(
    openDatabase({
      url: logServer.url,
      connectionsMax: 8,
      applicationName: 'test-log',
      logger: silentLogger,
    }),
  )
  await migrate(database)
  const common = {
    topicPrefix: 'hooktrail',
    retentionMs: 3_600_000,
    clock: systemClock,
    logger: silentLogger,
  }
  const openLog = (): Promise<EventLog & AsyncDisposable> => createPostgresEventLog(database, common)
  const log = undo.use(await openLog())
  const kept = undo.move()
  return {
    databaseUrl: store.url,
    live: async (databaseUrl, { logger = silentLogger, archive = null, ...options }) => {
      const stage = await openDispatcherStage({ ...options, apart: { databaseUrl, openLog } })
      return lifeOf(stage, logger, archive)
    },
    copy: (databaseUrl) => copyDatabase(databaseUrl, kept),
    empty: async () => kept.use(await createTestDatabase()).url,
    facts: () => factsOf(log),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

function lifeOf(stage: DispatcherStage, logger: Logger, archive: ArchiveWitness | null): Life {
  const guard = new StoreGuard({
    ...{ ...stage.deps(), ...guardParts(stage, logger), metrics: NO_METRICS },
    archive,
    openStore: () => stage.store,
    lostConnections: () => stage.database.lostConnections(),
    stopping: new AbortController().signal,
  })
  const gated = stage.database.gated(() => {
    guard.admit()
  })
  const store = guardStore(createPostgresJobStore(gated, { logger: silentLogger }), guard)
  const doubt = (): void => {
    guard.doubt()
  }
  return {
    ...{ ...stage, guard },
    compose: (overrides) => stage.compose({ store, doubt, ...overrides }),
    tell: (dispatcher) => tell(stage, dispatcher),
    rebuild: () =>
      rebuildStore(
        { ...guardParts(stage, logger), older: [], gone: new Set(), planRest: () => Promise.resolve() },
        AbortSignal.timeout(TOLD_MS_MAX),
      ),
    disagreeing: async () => {
      const ends = async () => {
        const topics = await stage.log.topics()
        const all = topics.flatMap(({ name: topic, id: topicId, partitions }) =>
          Array.from({ length: partitions }, (_, partition) => ({ topic, topicId, partition })),
        )
        return Promise.all(all.map(async (at) => ({ ...at, ...(await stage.log.bounds(at)) })))
      }
      const report = createReportStore(stage.database, ends, systemClock)
      return (await report.sums({ sinceMs: null, untilMs: null }, AbortSignal.timeout(TOLD_MS_MAX)))
        .disagreeing
    },
  }
}

function guardParts({ config, store, log }: DispatcherStage, logger: Logger) {
  return {
    ...{ store, log, logger },
    topicPrefix: config.log.topicPrefix,
    sources: config.sources,
    handlers: config.handlers,
    bodyDigest: () => Buffer.alloc(32),
    random: () => 0.5,
  }
}

/** Rows become readable when every older transaction of the server has ended. */
async function tell({ store }: DispatcherStage, { relay }: Dispatcher): Promise<void> {
  for (const kind of RELAY_KINDS)
    await eventually(`the outbox of ${kind} is told`, TOLD_MS_MAX, async () => {
      while ((await relay.step(kind)) > 0);
      return (await store.outboxLag(kind)) === 0n ? true : null
    })
}

async function copyDatabase(url: string, opened: AsyncDisposableStack): Promise<string> {
  const [, name] = /\/([^/?]+)(?:\?|$)/.exec(url) ?? []
  assert.ok(name !== undefined)
  const copy = `copy_${randomBytes(8).toString('hex')}`
  const admin = url.replace(`/${name}`, '/postgres')
  await execute(admin, `CREATE DATABASE ${copy} TEMPLATE ${name}`)
  opened.defer(() => execute(admin, `DROP DATABASE IF EXISTS ${copy} WITH (FORCE)`))
  return url.replace(`/${name}`, `/${copy}`)
}

async function factsOf(log: EventLog): Promise<readonly Fact[]> {
  const found: Fact[] = []
  for (const { highWatermark, ...at } of await tellingPartitions(log, 'hooktrail'))
    for (let from = 0n; from < highWatermark;) {
      const request = { recordsMax: 500, bytesMax: 4_000_000, waitMsMax: 0 }
      const { records, next } = await log.read({ ...at, ...request, from })
      found.push(...records.flatMap((record) => parseFact(record) ?? []))
      from = next
    }
  return found
}
