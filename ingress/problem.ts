/**
 * Answers of the ingress that are errors: RFC 9457 problem+json with a stable `code`, serialised once at start. What is
 * our own fault is 503 with Retry-After, never a 4xx: a 4xx makes senders give up (I1).
 */
import { catalogue } from '../core/error/catalogue.ts'
import type { ingressErrors } from '../core/error/ingress-errors.ts'
import type { Misfit } from '../core/ports/schema-registry.ts'

export type IngressCode = keyof typeof ingressErrors

export interface Problem {
  readonly status: number
  readonly code: IngressCode
  readonly retryAfterSeconds: number | null
  readonly body: string
}

const RETRY_AFTER_SECONDS = 5

function problem(
  status: number,
  code: IngressCode,
  reason?: string,
  details: Partial<Pick<Misfit, 'at' | 'expected'>> = {},
): Problem {
  const { what, events, fix } = catalogue[code]
  const body = {
    type: `urn:hooktrail:error:${code}`,
    title: what,
    status,
    code,
    reason,
    ...details,
    events,
    fix,
  }
  return {
    status,
    code,
    retryAfterSeconds: status === 503 ? RETRY_AFTER_SECONDS : null,
    body: JSON.stringify(body),
  }
}

export const problems = {
  unknownSource: problem(404, 'INGRESS_UNKNOWN_SOURCE'),
  bodyTooLarge: problem(413, 'INGRESS_BODY_TOO_LARGE'),
  bodyIncomplete: problem(400, 'INGRESS_BODY_INCOMPLETE'),
  logTimeout: problem(503, 'INGRESS_LOG_TIMEOUT'),
  overloaded: problem(503, 'INGRESS_OVERLOADED'),
  diskFull: problem(503, 'INGRESS_LOG_DISK_FULL'),
  stopping: problem(503, 'INGRESS_STOPPING'),
  /** By reason, a bounded set. */
  refused: {
    missing_signature: problem(401, 'INGRESS_SIGNATURE_REFUSED', 'missing_signature'),
    malformed_signature: problem(401, 'INGRESS_SIGNATURE_REFUSED', 'malformed_signature'),
    bad_signature: problem(401, 'INGRESS_SIGNATURE_REFUSED', 'bad_signature'),
    timestamp_out_of_tolerance: problem(401, 'INGRESS_SIGNATURE_REFUSED', 'timestamp_out_of_tolerance'),
  },
} as const

/** Not serialised at start: it says where the body misses the schema. */
export function misfitProblem({ reason, at, expected }: Misfit): Problem {
  return problem(422, 'INGRESS_SCHEMA_REFUSED', reason, { at, expected })
}
