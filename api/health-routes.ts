/** /health (verdict first), /health/live, /health/ready and /metrics. */
import type { FastifyPluginCallback } from 'fastify'
import { EXPOSITION_TYPE, exposition, type MetricSamples } from '../adapters/http/metrics.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { Health, type HealthSources, type ServicesHealth } from './health.ts'
import { createErrorHandler } from './problem.ts'
import { createTokenCheck } from './token-check.ts'

export interface ServicesReport extends ServicesHealth {
  /** One of each thread. */
  readonly metrics: readonly MetricSamples[]
}

export interface HealthDeps extends HealthSources {
  readonly services: () => Promise<ServicesReport>
  readonly apiToken: string
  readonly ready: () => boolean
}

export const healthRoutes: FastifyPluginCallback<HealthDeps> = (app, deps, registered) => {
  const health = new Health(deps)
  app.setErrorHandler(createErrorHandler(deps.logger))
  app.get('/health/live', () => ({ live: true }))
  app.get('/health/ready', async (_request, reply) => {
    const ready = deps.ready()
    return reply.code(ready ? 200 : 503).send({ ready })
  })
  app.get('/health', () => health.answer())
  // Names of sources and handlers are nobody else's business: without a token of its own the API's is asked for.
  const isAllowed = createTokenCheck(deps.config.api.metricsAuthToken ?? deps.apiToken)
  app.get('/metrics', async (request, reply) => {
    if (!isAllowed(request.headers.authorization)) throw new HooktrailError('API_UNAUTHORIZED')
    const { metrics } = await deps.services()
    return reply.type(EXPOSITION_TYPE).send(await exposition(metrics))
  })
  registered()
}
