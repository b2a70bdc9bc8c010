/** /health (verdict first), /health/live, /health/ready and /metrics. */
import type { FastifyPluginCallback } from 'fastify'
import type { PrometheusMetrics } from '../adapters/http/metrics.ts'
import type { Config } from '../core/config/config.ts'
import type { Position, JobStore } from '../core/ports/job-store.ts'
import { createTokenCheck } from './token-check.ts'
import { verdictOf, type ServiceState } from './verdict.ts'

/** What the archiver says about itself; null in a process without one. */
export interface ArchiveHealth {
  readonly archiveId: string
  readonly location: string
  readonly lagSeconds: number
  readonly lastHeartbeat: {
    readonly n: string
    readonly createdAt: string
    readonly ageSeconds: number
  } | null
  readonly halted: readonly { readonly topic: string; readonly partition: number; readonly reason: string }[]
  readonly chainFault: string | null
}

export interface HealthDeps {
  readonly config: Config
  readonly store: JobStore
  readonly metrics: PrometheusMetrics
  readonly services: () => readonly ServiceState[]
  readonly ready: () => boolean
  readonly archive: () => ArchiveHealth | null
}

export const healthRoutes: FastifyPluginCallback<HealthDeps> = (app, deps, registered) => {
  app.get('/health/live', () => ({ live: true }))
  app.get('/health/ready', async (_request, reply) => {
    const ready = deps.ready()
    return reply.code(ready ? 200 : 503).send({ ready })
  })
  app.get('/health', () => healthOf(deps))
  const token = deps.config.api.metricsAuthToken
  const isAllowed = token === null ? () => true : createTokenCheck(token)
  app.get('/metrics', async (request, reply) => {
    if (!isAllowed(request.headers.authorization)) return reply.code(401).send({ code: 'API_UNAUTHORIZED' })
    return reply.type(deps.metrics.contentType).send(await deps.metrics.text())
  })
  registered()
}

async function healthOf({ config, store, services, archive }: HealthDeps): Promise<Record<string, unknown>> {
  const storeAnswers = await store.ping().then(
    () => true,
    () => false,
  )
  const openJobs = storeAnswers ? await store.openJobs() : []
  const positions: readonly Position[] = storeAnswers ? await store.allPositions() : []
  const status = archive()
  const verdict = verdictOf({
    storeAnswers,
    services: services(),
    openJobs,
    halted: status?.halted ?? [],
    chainFault: status?.chainFault ?? null,
    archiveLagSeconds: status?.lagSeconds ?? null,
  })
  return {
    verdict,
    dependencies: { database: storeAnswers ? 'ok' : 'down' },
    services: services(),
    generation: config.generation,
    open_jobs: openJobs,
    positions: positions.length,
    archive: status === null ? null : archiveJson(status),
    last_heartbeat: status?.lastHeartbeat ?? null,
  }
}

function archiveJson({ archiveId, location, lagSeconds, halted, chainFault }: ArchiveHealth) {
  return { id: archiveId, location, lag_seconds: lagSeconds, halted, chain_fault: chainFault }
}
