/** An error of the catalogue as RFC 9457 problem+json, the one shape in which the API and its listeners refuse. */
import type { FastifyReply } from 'fastify'
import { catalogue, type ErrorCode } from '../../core/error/catalogue.ts'

export interface Problem {
  readonly status: number
  readonly code: ErrorCode
  readonly details?: Readonly<Record<string, unknown>>
}

export function sendProblem(reply: FastifyReply, { status, code, details = {} }: Problem): FastifyReply {
  const { what, events, fix, read } = catalogue[code]
  return reply
    .code(status)
    .type('application/problem+json')
    .send({ type: 'about:blank', status, title: what, code, detail: `${events}; ${fix}`, read, details })
}
