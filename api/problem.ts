/** Errors of the API as RFC 9457 problem+json with a stable code. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { catalogue, type ErrorCode } from '../core/error/catalogue.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'

const STATUS: Partial<Record<ErrorCode, number>> = {
  API_UNAUTHORIZED: 401,
  API_INVALID_REQUEST: 400,
  API_REASON_REQUIRED: 400,
  API_NOT_FOUND: 404,
  API_PAYLOAD_GONE: 410,
  API_JOB_NOT_DEAD: 409,
  API_BUSY: 503,
  API_REPORT_GIVEN_UP: 503,
  STORE_UNAVAILABLE: 503,
  LOG_UNAVAILABLE: 503,
}

/** With every 503: what it waits for is back or done by then, or is asked for again. */
const RETRY_AFTER_SECONDS = 5

export function createErrorHandler(logger: Logger) {
  return (error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
    if (isHooktrailError(error)) return sendProblem(reply, error.code, error.details)
    if (error.statusCode !== undefined && error.statusCode < 500)
      return sendProblem(reply, 'API_INVALID_REQUEST', { reason: error.message })
    logger.error({ err: error }, 'a request to the API failed')
    return sendProblem(reply, 'API_INTERNAL', {})
  }
}

function sendProblem(reply: FastifyReply, code: ErrorCode, details: Readonly<Record<string, unknown>>) {
  const status = STATUS[code] ?? 500
  const { what, events, fix, read } = catalogue[code]
  if (status === 401) void reply.header('www-authenticate', 'Bearer')
  if (status === 503) void reply.header('retry-after', RETRY_AFTER_SECONDS)
  return reply
    .code(status)
    .type('application/problem+json')
    .send({ type: 'about:blank', status, title: what, code, detail: `${events}; ${fix}`, read, details })
}
