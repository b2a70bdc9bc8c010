/**
 * Starts the named services and their listeners. A failure at any step stops everything that was started, in the reverse
 * order; so does stop(): ingress answers what it took, the listeners close, then the work on the database ends.
 */
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { apiRoutes } from '../../api/api-routes.ts'
import { healthRoutes } from '../../api/health-routes.ts'
import type { ServiceState } from '../../api/verdict.ts'
import { startIngress, type Ingress } from '../../ingress/ingress-service.ts'
import { archiveReader } from './archive-reader.ts'
import type { Context } from './context.ts'
import { Listeners, type Addresses } from './listeners.ts'
import { StoreServices } from './store-services.ts'

export type ServiceName = 'ingress' | 'dispatcher' | 'archiver' | 'api'

export interface Running {
  readonly addresses: Addresses
  /** Rejects with the reason when a service could not go on. */
  readonly failed: Promise<never>
  stop(): Promise<void>
}

interface Parts {
  readonly names: ReadonlySet<ServiceName>
  readonly services: StoreServices
  readonly ingress: Ingress | null
  readonly isStopping: () => boolean
}

export async function runServices(
  context: Context,
  names: ReadonlySet<ServiceName>,
  signal: AbortSignal,
): Promise<Running> {
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => undefined)
  context.postgres?.done.catch(failure.reject)
  let stopping = false
  await using undo = new AsyncDisposableStack()
  const services = undo.use(
    new StoreServices(context, {
      dispatcher: names.has('dispatcher'),
      archiver: names.has('archiver'),
      onFailed: failure.reject,
    }),
  )
  await services.begin()
  signal.throwIfAborted()
  const listeners = undo.use(new Listeners(context.config))
  const ingress = names.has('ingress') ? undo.use(await startIngress(context.config, context)) : null
  ingress?.done.catch(failure.reject)
  await register(listeners, context, { names, services, ingress, isStopping: () => stopping })
  const addresses = await listeners.listen(ingress !== null)
  signal.throwIfAborted()
  const kept = undo.move()
  const stop = async (): Promise<void> => {
    stopping = true
    await kept.disposeAsync()
  }
  return { addresses, failed: failure.promise, stop }
}

async function register({ open, admin }: Listeners, context: Context, parts: Parts): Promise<void> {
  const { names, services, ingress, isStopping } = parts
  const states = (): readonly ServiceState[] =>
    [...names].map((name) => ({
      name,
      waitingFor: name === 'ingress' && ingress !== null ? ingress.waitingFor() : services.waitingFor(name),
    }))
  const openArchive = archiveReader(context.config, context.home)
  const deps = { ...context, report: createReportStore(context.database), services: states, openArchive }
  await admin.register(healthRoutes, {
    ...deps,
    ready: () => !isStopping() && (ingress?.ready() ?? services.isPrepared),
    archive: () => services.archiver?.status() ?? null,
  })
  if (names.has('api')) await admin.register(apiRoutes, { ...deps, prefix: '/api' })
  if (ingress !== null) await open.register(ingress.routes)
}
