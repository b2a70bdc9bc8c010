/** Starts the named services on one listener, runs until a signal or a failure, and stops them in reverse order. */
import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { createServer, listen } from '../../adapters/http/server.ts'
import { createReportStore } from '../../adapters/postgres/report-store.ts'
import { archiveSignerOf, ensureArchiveSigner } from '../../adapters/system/key-files.ts'
import { apiRoutes } from '../../api/api-routes.ts'
import { healthRoutes } from '../../api/health-routes.ts'
import type { ServiceState } from '../../api/verdict.ts'
import { startArchiver, type ArchiverService } from '../../archiver/archiver.ts'
import { parseVerifierKey } from '../../core/archive/signed-note.ts'
import type { Service } from '../../core/service.ts'
import { startDispatcher } from '../../dispatcher/start-dispatcher.ts'
import { startIngress, type Ingress } from '../../ingress/ingress-service.ts'
import type { Context } from './context.ts'
import { packageRoot } from './package-root.ts'

export type ServiceName = 'ingress' | 'dispatcher' | 'archiver' | 'api'

export interface Running {
  readonly url: string
  /** Rejects with the reason when a service could not go on. */
  readonly failed: Promise<never>
  stop(): Promise<void>
}

interface Parts {
  readonly named: ReadonlyMap<string, Service>
  readonly ingress: Ingress | null
  readonly archiver: ArchiverService | null
}

export async function runServices(context: Context, names: ReadonlySet<ServiceName>): Promise<Running> {
  const app = createServer(context.config.server)
  const running = await startParts(context, names)
  const state = { stopping: false }
  try {
    await register(app, context, { names, running, state })
    const url = await listen(app, context.config.server)
    return { url, failed: firstFailure(context, running), stop: () => stopAll(app, running, state) }
  } catch (error) {
    await stopAll(app, running, state)
    throw error
  }
}

async function startParts(context: Context, names: ReadonlySet<ServiceName>): Promise<Parts> {
  const { config } = context
  const ingress = names.has('ingress') ? await startIngress(config, context) : null
  const dispatcher = names.has('dispatcher') ? await startDispatcher(config, context) : null
  const archiver = names.has('archiver') ? await openArchiver(context) : null
  const all = Object.entries({ ingress, dispatcher, archiver })
  const named = new Map(all.flatMap(([name, service]) => (service === null ? [] : [[name, service]])))
  return { named, ingress, archiver }
}

async function openArchiver(context: Context): Promise<ArchiverService> {
  const { config, home, clock, logger } = context
  const { signingKey, directory } = config.archive
  const signer =
    signingKey === null ? await ensureArchiveSigner(home) : archiveSignerOf(signingKey, 'archive.signing_key')
  const instance = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`
  return startArchiver(config, {
    ...context,
    archive: await openDirectoryStore(directory ?? join(home, 'archive'), { clock, logger }),
    signer,
    verifiers: [parseVerifierKey(signer.vkey)],
    spoolDirectory: join(home, 'spool', instance),
    instance,
    formatsText: await readFile(join(packageRoot(), 'docs', 'formats.md'), 'utf8'),
    rememberedArchiveId: context.identity.archiveId,
  })
}

interface Registration {
  readonly names: ReadonlySet<ServiceName>
  readonly running: Parts
  readonly state: { readonly stopping: boolean }
}

async function register(app: FastifyInstance, context: Context, how: Registration): Promise<void> {
  const { names, running, state } = how
  const services = (): readonly ServiceState[] =>
    [...running.named].map(([name, service]) => ({ name, waitingFor: service.waitingFor() }))
  const deps = { ...context, report: createReportStore(context.database), services }
  await app.register(healthRoutes, {
    ...deps,
    ready: () => !state.stopping && (running.ingress?.ready() ?? true),
    archive: () => running.archiver?.status() ?? null,
  })
  if (running.ingress !== null) await app.register(running.ingress.routes)
  if (names.has('api')) await app.register(apiRoutes, { ...deps, prefix: '/api' })
}

function firstFailure(context: Context, { named }: Parts): Promise<never> {
  const failed = Promise.withResolvers<never>()
  failed.promise.catch(() => undefined)
  for (const { done } of named.values()) done.catch(failed.reject)
  context.postgresDone?.catch(failed.reject)
  return failed.promise
}

async function stopAll(app: FastifyInstance, running: Parts, state: { stopping: boolean }): Promise<void> {
  state.stopping = true
  await running.ingress?.stop()
  await app.close()
  await running.named.get('dispatcher')?.stop()
  await running.archiver?.stop()
}
