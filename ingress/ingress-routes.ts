/**
 * `POST /webhooks/:source` as a fastify plugin. The request is handled in an onRequest hook: fastify's own body parsing
 * refuses unusual content types and limits, and a sender's bytes must arrive whatever they call themselves.
 */
import type { FastifyPluginCallback } from 'fastify'
import type { Receiver } from './receiver.ts'

export interface IngressRoutesDeps {
  readonly receiver: Pick<Receiver, 'handle'>
  readonly onListen: () => void
}

export function ingressRoutes({ receiver, onListen }: IngressRoutesDeps): FastifyPluginCallback {
  return (app, _options, registered) => {
    // Node drops headers past 2 000 without a word; their size is bounded by maxHeaderSize all the same.
    app.server.maxHeadersCount = 0
    app.addHook('onListen', (done) => {
      onListen()
      done()
    })
    app.route<{ Params: { source: string } }>({
      method: 'POST',
      url: '/webhooks/:source',
      // `done` is never called: the answer is sent from here, perhaps much later.
      onRequest: (request, reply) => {
        reply.hijack()
        receiver.handle(request, reply.raw, request.params.source)
      },
      handler: (_request, reply) => reply,
    })
    registered()
  }
}
