/** Handlers below /api: whether they are served, and how an operator stops them and lets them go on. */
import type { FastifyPluginCallback } from 'fastify'
import type { HandlerView } from '../core/ports/operator-store.ts'
import type { JobRouteDeps } from './job-routes.ts'
import { unknownHandler } from './known-handler.ts'
import * as query from './query.ts'
import { reasonOf } from './request-parts.ts'
import { handlerJson, signingKeysJson } from './views.ts'

const STATUS_AFTER = { enable: 'active', pause: 'paused', disable: 'disabled' } as const

export const handlerRoutes: FastifyPluginCallback<JobRouteDeps> = (app, { config, store }, registered) => {
  app.get('/handlers', async () => ({
    items: (await store.handlers()).map((row) => handlerJson(row, config)),
  }))
  app.get('/signing-keys', () => ({ items: signingKeysJson(config) }))
  for (const [action, status] of Object.entries(STATUS_AFTER))
    app.post(`/handlers/:id/${action}`, async ({ params, body }) => {
      const { id } = query.parse(query.idParams, params)
      const reason = reasonOf(body, config)
      const audit = { actor: 'token', action: `handler.${action}`, target: id, reason, details: {} }
      const isThere = await store.setHandlerStatus(id, status, audit)
      return handlerJson(findIn(await store.handlers(), id, isThere), config)
    })
  registered()
}

/** @throws API_HANDLER_NOT_FOUND */
function findIn(handlers: readonly HandlerView[], id: string, isThere: boolean): HandlerView {
  const found = handlers.find(({ handler }) => handler === id)
  if (isThere && found !== undefined) return found
  throw unknownHandler(
    id,
    handlers.map(({ handler }) => handler),
  )
}
