/**
 * A stage for the dispatcher: a real Postgres with job store and, unless a Kafka is given, log, a real receiver, and one
 * or more dispatchers that are driven step by step. Nothing runs by itself unless a test starts the service.
 */
import assert from 'node:assert/strict'
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { createPostgresJobQueue } from '../../adapters/postgres/job-queue.ts'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { Config, HandlerConfig, SourceConfig } from '../../core/config/config.ts'
import type { EventLog } from '../../core/ports/event-log.ts'
import type { HintQueue, JobQueue } from '../../core/ports/job-queue.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import type { JobView } from '../../core/ports/operator-store.ts'
import { encodeEvent } from '../../core/record/encode-event.ts'
import { createEventIds } from '../../core/record/event-ids.ts'
import type { EventRecord } from '../../core/record/event-record.ts'
import { partitionFor } from '../../core/record/partitioner.ts'
import { composeDispatcher, type Dispatcher } from '../../dispatcher/compose-dispatcher.ts'
import type { ComposeDeps } from '../../dispatcher/dispatcher-deps.ts'
import { WaitList } from '../../dispatcher/wait-list.ts'
import type { KafkaLogStage } from './kafka-log.ts'
import { valid } from './config-reader.ts'
import { createMigratedDatabase, silentLogger } from './postgres.ts'
import { startReceiver, type Receiver } from './receiver.ts'

export const SOURCE = 'shop'
const STEP_MS_MAX = 10_000

export interface DispatcherStage extends AsyncDisposable {
  readonly config: Config
  readonly database: Database
  readonly log: EventLog
  readonly store: JobStore
  readonly queue: JobQueue
  readonly receiver: Receiver
  deps(overrides?: Partial<ComposeDeps>): ComposeDeps
  /** One more dispatcher on the same stores. */
  compose(overrides?: Partial<ComposeDeps>): Promise<Dispatcher>
  /** Appends events; ids and everything else that is not given are made. */
  append(events: readonly Partial<EventRecord>[]): Promise<readonly EventRecord[]>
  job(event: EventRecord, handler: string): Promise<JobView>
}

export interface StageOptions {
  readonly handlers: readonly (Partial<HandlerConfig> & { readonly name: string })[]
  readonly source?: Partial<SourceConfig>
  readonly partitions?: number
  /** The log is there, not in Postgres. */
  readonly kafka?: KafkaLogStage
  /** The store is that database, and the log elsewhere: both outlive the stage. */
  readonly apart?: { readonly databaseUrl: string; openLog(): Promise<EventLog & AsyncDisposable> }
  /** Another queue than the job store itself: one with hints of its own. */
  readonly openQueue?: (store: JobStore, config: Config) => Promise<HintQueue & AsyncDisposable>
}

export async function openDispatcherStage(options: StageOptions): Promise<DispatcherStage> {
  const { apart } = options
  const testDatabase = apart === undefined ? await createMigratedDatabase() : null
  const receiver = await startReceiver()
  const database = openDatabase({
    url: apart?.databaseUrl ?? testDatabase?.url ?? '',
    connectionsMax: 10,
    applicationName: 'dispatcher-test',
    logger: silentLogger,
  })
  await migrate(database)
  const config = stageConfig(options, receiver.url)
  const common = { clock: systemClock, logger: silentLogger }
  const { kafka, openQueue } = options
  const { topicPrefix, retentionMs } = config.log
  const log =
    (await apart?.openLog()) ??
    (await kafka?.open()) ??
    (await createPostgresEventLog(database, { topicPrefix, retentionMs, ...common }))
  const store = createPostgresJobStore(database, { ...common, queued: openQueue !== undefined })
  const queue = (await openQueue?.(store, config)) ?? createPostgresJobQueue(database, store, common)
  const dispatchers: Dispatcher[] = []
  const nextId = createEventIds(systemClock)

  const deps = (overrides: Partial<ComposeDeps> = {}): ComposeDeps => ({
    log,
    store,
    queue,
    ...common,
    metrics: { count: () => undefined, set: () => undefined, observe: () => undefined },
    digestKey: 'test',
    random: () => 0.5,
    owner: 'one',
    waits: new WaitList(),
    giveUp: new AbortController().signal,
    renew: () => undefined,
    ...overrides,
  })

  return {
    config,
    database,
    log,
    store,
    queue,
    receiver,
    deps,
    compose: async (overrides) => {
      const dispatcher = await composeDispatcher(config, deps(overrides))
      dispatchers.push(dispatcher)
      return dispatcher
    },
    append: (events) =>
      append(
        log,
        config,
        events.map((event) => completeEvent(event, nextId())),
      ),
    job: async (event, handler) => {
      const job = await store.getJob(`${event.id}.${handler}`)
      assert(job !== null, `a job of ${handler}`)
      return job
    },
    [Symbol.asyncDispose]: async () => {
      for (const dispatcher of dispatchers) await dispatcher.close()
      await receiver[Symbol.asyncDispose]()
      await queue[Symbol.asyncDispose]()
      await log[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await testDatabase?.[Symbol.asyncDispose]()
    },
  }
}

/** Plans until every partition is idle; resolves with how many steps committed. Only a step that commits may be followed for long. */
export async function planAll(dispatcher: Dispatcher): Promise<number> {
  let committed = 0
  for (const planner of dispatcher.planners) {
    let signal = AbortSignal.timeout(STEP_MS_MAX)
    for (let step = await planner.step(signal, 0); step !== 'idle'; step = await planner.step(signal, 0)) {
      assert(!signal.aborted, 'planning comes to rest')
      if (step !== 'committed') continue
      committed++
      signal = AbortSignal.timeout(STEP_MS_MAX)
    }
  }
  return committed
}

/** One take of one handler, and everything until its outcomes are written. */
export async function deliverOnce(dispatcher: Dispatcher, handler: string): Promise<number> {
  const runner = runnerOf(dispatcher, handler)
  const signal = AbortSignal.timeout(STEP_MS_MAX)
  const taken = await runner.step(signal)
  await runner.drained(signal)
  assert(!signal.aborted, 'the take and its sends end')
  return taken
}

export function runnerOf(dispatcher: Dispatcher, handler: string): Dispatcher['runners'][number] {
  const runner = dispatcher.runners.find(({ name }) => name === `deliver ${handler}`)
  assert(runner !== undefined)
  return runner
}

export function completeEvent(event: Partial<EventRecord>, id: string): EventRecord {
  return {
    id,
    source: SOURCE,
    type: 'order.paid',
    subject: null,
    receivedAtMs: Date.now(),
    contentType: 'application/json',
    traceparent: null,
    dedupKey: null,
    cloudEvent: null,
    request: null,
    evidence: null,
    schema: null,
    decoded: null,
    body: Buffer.from('{}'),
    orderingKey: event.id ?? id,
    ...event,
  }
}

async function append(
  log: EventLog,
  config: Config,
  events: readonly EventRecord[],
): Promise<readonly EventRecord[]> {
  const name = `${config.log.topicPrefix}.events.${SOURCE}`
  const [topic] = await log.ensureTopics([{ name, partitions: config.log.partitions }])
  assert(topic !== undefined)
  await log.append(
    events.map((event) => {
      const encoded = encodeEvent(event)
      return { topic, partition: partitionFor(encoded.key, topic.partitions), ...encoded }
    }),
  )
  return events
}

/** Whatever a test does not name is as in a configuration that does not name it. */
function stageConfig(options: StageOptions, url: string): Config {
  const { server, log, archive, ...others } = valid('version: 1\n')
  return {
    ...others,
    generation: '0123456789abcdef',
    digestKey: 'test',
    server: { ...server, port: 0 },
    log: {
      ...log,
      topicPrefix: options.kafka?.topicPrefix ?? 'hooktrail',
      partitions: options.partitions ?? 1,
      retentionMs: 3_600_000,
    },
    archive: {
      ...archive,
      roll: { bytesMax: 1, recordsMax: 1, ageMsMax: 1 },
      heartbeatMs: 1,
      idleHeartbeatMs: 1,
      runningRootMs: 30_000,
    },
    worker: { retentionHours: 24, deadRetentionHours: 720, concurrencyMax: 200, drainTimeoutMs: 5_000 },
    sources: [{ ...DEFAULT_SOURCE, ...options.source }],
    handlers: options.handlers.map((handler) => ({
      ...DEFAULT_HANDLER,
      url: `${url}/${handler.name}`,
      ...handler,
    })),
  }
}

const DEFAULT_SOURCE: SourceConfig = {
  name: SOURCE,
  verify: { scheme: 'none', hmac: null, toleranceSeconds: null },
  secrets: [],
  dedup: { key: null, windowMs: 3_600_000, onConflict: 'deliver', onResend: 'revive' },
  orderBy: null,
  type: null,
  deadlineMs: 3_000,
  bodyBytesMax: 1_000_000,
  schema: null,
  archiveRetention: null,
}

const DEFAULT_HANDLER: Omit<HandlerConfig, 'name' | 'url'> = {
  source: SOURCE,
  events: [],
  filter: null,
  method: 'POST',
  headers: {},
  allowPrivate: true,
  timeoutMs: 5_000,
  retry: { attemptsMax: 3, backoff: { kind: 'fixed', intervalMs: 1 } },
  concurrency: 20,
  ratePerSecond: null,
  pool: 'default',
  start: 'latest',
  signingSecrets: [],
  signingKeys: [],
  transform: null,
  tls: null,
}
