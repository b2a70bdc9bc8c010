/**
 * A fastify server with hooktrail's bounds: body, headers, slow senders; idle connections end while it drains. What it
 * refuses itself (no such route, a malformed URL or body) is a problem like every other answer that is an error.
 */
import { once } from 'node:events'
import { createServer as createSocketServer } from 'node:net'
import fastify, { type FastifyError, type FastifyInstance } from 'fastify'
import type { ServerConfig } from '../../core/config/config.ts'
import type { Clock } from '../../core/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { systemClock } from '../system/clock.ts'
import { endConnections } from './end-connections.ts'
import { sendProblem } from './problem.ts'
import { answerUnknownRoutes } from './unknown-routes.ts'

const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 72_000
const HEADER_BYTES_MAX = 32 * 1024

export function createServer(config: ServerConfig, clock: Clock = systemClock): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: config.bodyBytesMax,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    trustProxy: config.trustedProxies.length === 0 ? false : [...config.trustedProxies],
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 512 },
    frameworkErrors: ({ message }, _request, reply) => {
      sendProblem(reply, { status: 400, code: 'API_INVALID_REQUEST', details: { reason: message } })
    },
    http: {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: 5_000,
    },
  })
  const beginToEnd = endConnections(app.server, clock)
  app.addHook('preClose', () => {
    beginToEnd()
    return Promise.resolve()
  })
  const answerUnknown = answerUnknownRoutes(app)
  app.setErrorHandler((error: FastifyError, request, reply) => {
    // The body of a request is read before it is known that nobody wants it.
    if (request.is404) return answerUnknown(request, reply)
    const { statusCode = 500, message } = error
    if (statusCode >= 500) throw error
    return sendProblem(reply, { status: 400, code: 'API_INVALID_REQUEST', details: { reason: message } })
  })
  return app
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** @throws PORT_IN_USE */
export async function listen(app: FastifyInstance, { host, port }: Address): Promise<string> {
  try {
    return await app.listen({ host, port })
  } catch (error) {
    throw addressError({ host, port }, error)
  }
}

/** Whether the address could be listened on now: said before anything is started for it. @throws PORT_IN_USE */
export async function probeAddress({ host, port }: Address): Promise<void> {
  const server = createSocketServer().listen({ host, port, exclusive: true })
  try {
    await once(server, 'listening')
  } catch (error) {
    throw addressError({ host, port }, error)
  }
  server.close()
  await once(server, 'close')
}

function addressError(address: Address, error: unknown): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : null
  const isTaken = code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL'
  return isTaken ? new HooktrailError('PORT_IN_USE', { ...address, reason: code }, error) : error
}
