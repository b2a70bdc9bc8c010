/**
 * Starts the named services and their listeners. A failure at any step stops everything that was started, in the reverse
 * order; so does stop(): ingress answers what it took, the listeners close, then the work on the database ends.
 */
import { createReportStore, type ReadLogEnds } from '../../adapters/postgres/report-store.ts'
import { apiRoutes } from '../../api/api-routes.ts'
import { healthRoutes, type ServicesReport } from '../../api/health-routes.ts'
import { startIngress, type Ingress } from '../../ingress/ingress-service.ts'
import { archiveReader, openUnion } from './archive-stores.ts'
import type { Context } from './context.ts'
import { openRegistry } from './open-schema-registry.ts'
import { Listeners, type Addresses } from './listeners.ts'
import { ServicesThread } from './services-thread.ts'
import { StoreServices, type StoreServiceName, type StoreServicesOptions } from './store-services.ts'

export type ServiceName = 'ingress' | 'api' | StoreServiceName

export interface Running {
  readonly addresses: Addresses
  /** Rejects with the reason when a service could not go on. */
  readonly failed: Promise<never>
  /** Who waits for what. */
  readonly services: () => Promise<ServicesReport['services']>
  stop(): Promise<void>
}

export interface Chosen extends Pick<StoreServicesOptions, 'serves'> {
  readonly names: ReadonlySet<ServiceName>
}

const STORE_SERVICES = ['dispatcher', 'archiver'] as const satisfies readonly StoreServiceName[]

interface Parts {
  readonly names: ReadonlySet<ServiceName>
  readonly services: StoreServices
  /** Null: dispatcher and archiver, if any, run in this thread. */
  readonly thread: ServicesThread | null
  readonly ingress: Ingress | null
  /** What is opened later, for as long as the listeners stand. */
  readonly opened: AsyncDisposableStack
  readonly stopping: AbortSignal
}

/** With ingress in the process, dispatcher and archiver get a thread of their own. */
export function hasServicesThread(names: ReadonlySet<ServiceName>): boolean {
  return names.has('ingress') && STORE_SERVICES.some((name) => names.has(name))
}

export async function runServices(
  context: Context,
  { names, serves }: Chosen,
  signal: AbortSignal,
): Promise<Running> {
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => undefined)
  const onFailed = failure.reject
  context.postgres?.done?.catch(onFailed)
  const stopping = new AbortController()
  const beginStop = (): void => {
    stopping.abort()
    context.beginStop()
  }
  signal.addEventListener('abort', beginStop, { once: true })
  await using undo = new AsyncDisposableStack()
  const own = STORE_SERVICES.filter((name) => names.has(name))
  const isApart = hasServicesThread(names)
  const services = undo.use(new StoreServices(context, { names: isApart ? [] : own, serves, onFailed }))
  const thread = isApart ? undo.use(new ServicesThread(context, { names: own, serves, onFailed })) : null
  await Promise.all([services.begin(), thread?.begin()])
  signal.throwIfAborted()
  const listeners = undo.use(new Listeners(context.config))
  const schemaRegistry = names.has('ingress') ? undo.use(await openRegistry(context.config)) : null
  const ingress = names.has('ingress')
    ? undo.use(await startIngress(context.config, { ...context, schemaRegistry }))
    : null
  ingress?.done.catch(onFailed)
  const opened = undo.use(new AsyncDisposableStack())
  const parts = { names, services, thread, ingress, opened, stopping: stopping.signal }
  await register(listeners, context, parts)
  const addresses = await listeners.listen(ingress !== null)
  signal.throwIfAborted()
  const kept = undo.move()
  const stop = async (): Promise<void> => {
    beginStop()
    await kept.disposeAsync()
  }
  return {
    ...{ addresses, failed: failure.promise, stop },
    services: async () => (await reportOf(context, parts)).services,
  }
}

async function register({ open, admin }: Listeners, context: Context, parts: Parts): Promise<void> {
  const { names, services, ingress, stopping, opened } = parts
  const openArchive = archiveReader(context, opened, stopping)
  const report = createReportStore(context.database, logEndsOf(context), context.clock)
  const deps = { ...context, report, openArchive }
  await admin.register(healthRoutes, {
    ...deps,
    ready: () => !stopping.aborted && (ingress?.ready() ?? services.isPrepared),
    services: () => reportOf(context, parts),
  })
  if (names.has('api')) {
    const log = openUnion(context, opened, openArchive)
    const foreignLog = context.config.log.kafka === null ? null : context.log
    await admin.register(apiRoutes, { ...deps, log, foreignLog, prefix: '/api' })
  }
  if (ingress !== null) await open.register(ingress.routes)
}

/** A log in the database is read by the report's own statements. */
function logEndsOf({ config, log }: Context): ReadLogEnds {
  if (config.log.kafka === null) return null
  return async () => {
    const partitions = (await log.topics()).flatMap(({ name: topic, id: topicId, partitions: count }) =>
      Array.from({ length: count }, (_, partition) => ({ topic, topicId, partition })),
    )
    return Promise.all(partitions.map(async (at) => ({ ...at, ...(await log.bounds(at)) })))
  }
}

/** Of all services of the process, wherever they run, in the order in which they were named. */
async function reportOf(
  context: Context,
  { names, services, thread, ingress }: Parts,
): Promise<ServicesReport> {
  const report = await (thread ?? services).report()
  const waits = new Map(report.services.map(({ name, waitingFor }) => [name, waitingFor]))
  if (ingress !== null) waits.set('ingress', ingress.waitingFor())
  const metrics = thread === null ? report.metrics : [await context.metrics.samples(), ...report.metrics]
  return {
    ...{ ...report, metrics },
    services: [...names].map((name) => ({
      name,
      waitingFor: (waits.has(name) ? waits.get(name) : services.waitingFor(name)) ?? null,
    })),
  }
}
