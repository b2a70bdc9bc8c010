/** /health (verdict first), /health/live, /health/ready and /metrics. */
import type { FastifyPluginCallback } from 'fastify'
import type { PrometheusMetrics } from '../adapters/http/metrics.ts'
import { Health, type HealthSources } from './health.ts'
import { createTokenCheck } from './token-check.ts'

export interface HealthDeps extends HealthSources {
  readonly metrics: PrometheusMetrics
  readonly apiToken: string
  readonly ready: () => boolean
}

export const healthRoutes: FastifyPluginCallback<HealthDeps> = (app, deps, registered) => {
  const health = new Health(deps)
  app.get('/health/live', () => ({ live: true }))
  app.get('/health/ready', async (_request, reply) => {
    const ready = deps.ready()
    return reply.code(ready ? 200 : 503).send({ ready })
  })
  app.get('/health', () => health.answer())
  // Names of sources and handlers are nobody else's business: without a token of its own the API's is asked for.
  const isAllowed = createTokenCheck(deps.config.api.metricsAuthToken ?? deps.apiToken)
  app.get('/metrics', async (request, reply) => {
    if (!isAllowed(request.headers.authorization)) return reply.code(401).send({ code: 'API_UNAUTHORIZED' })
    return reply.type(deps.metrics.contentType).send(await deps.metrics.text())
  })
  registered()
}
