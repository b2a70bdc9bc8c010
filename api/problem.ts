/** Errors of the API as problems: which status a code has, and what is nobody's business. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from '../adapters/http/problem.ts'
import type { ErrorCode } from '../core/error/catalogue.ts'
import { isHooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'

/** Of each code that the API answers; any other is 500. */
export const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  API_UNAUTHORIZED: 401,
  API_RELEASE_REFUSED: 403,
  API_HOLD_NOT_FOUND: 404,
  API_HOLD_WITHOUT_LOCK: 409,
  API_INVALID_REQUEST: 400,
  API_REASON_REQUIRED: 400,
  API_NOT_FOUND: 404,
  API_JOB_NOT_FOUND: 404,
  API_HANDLER_NOT_FOUND: 404,
  API_SOURCE_NOT_FOUND: 404,
  API_REPLAY_NOT_FOUND: 404,
  API_REPLAY_REFUSED: 409,
  API_REPLAYS_TOO_MANY: 409,
  REPLAY_TOPIC_REFUSED: 400,
  ARCHIVE_READER_MISSING: 409,
  ARCHIVE_RANGE_MISSING: 409,
  API_PAYLOAD_GONE: 410,
  API_JOB_NOT_DEAD: 409,
  API_BUSY: 503,
  API_REPORT_GIVEN_UP: 503,
  STORE_UNAVAILABLE: 503,
  ARCHIVE_DELETE_MARKER: 503,
  ARCHIVE_STORE_DENIED: 503,
  ARCHIVE_STORE_UNAVAILABLE: 503,
  LOG_UNAVAILABLE: 503,
  LOG_REFUSED: 503,
  LOG_CORRUPT: 503,
}

/** With every 503: what it waits for is back or done by then, or is asked for again. */
const RETRY_AFTER_SECONDS = 5

export function createErrorHandler(logger: Logger) {
  return (error: FastifyError, _request: FastifyRequest, reply: FastifyReply) => {
    if (isHooktrailError(error)) {
      const status = STATUS[error.code] ?? 500
      if (status === 401) void reply.header('www-authenticate', 'Bearer')
      if (status === 503) void reply.header('retry-after', RETRY_AFTER_SECONDS)
      return sendProblem(reply, { status, code: error.code, details: error.details })
    }
    if (error.statusCode !== undefined && error.statusCode < 500)
      return sendProblem(reply, {
        status: 400,
        code: 'API_INVALID_REQUEST',
        details: { reason: error.message },
      })
    logger.error({ err: error }, 'a request to the API failed')
    return sendProblem(reply, { status: 500, code: 'API_INTERNAL' })
  }
}
