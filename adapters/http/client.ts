/**
 * What the command line talks to the API through: token, bodies as text or a stream. A problem that the API answers is
 * thrown as the error that it is, so that it is told once.
 */
import { isErrorCode } from '../../core/error/catalogue.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { isObject, parseJson } from '../../core/record/parse-header.ts'

/** Of an answer that nobody expected, such as a proxy's page. */
const ANSWER_LENGTH_MAX = 1_000

export interface ApiTarget {
  readonly url: string
  readonly token: string
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST'
  readonly body?: unknown
}

/** @throws API_UNREACHABLE, what the API answers, or API_REQUEST_REFUSED when that is no problem of its own */
export async function requestApi(
  target: ApiTarget,
  path: string,
  request: ApiRequest = {},
): Promise<Response> {
  const hasBody = request.body !== undefined
  const response = await fetch(new URL(path, target.url), {
    method: request.method ?? 'GET',
    headers: {
      authorization: `Bearer ${target.token}`,
      ...(hasBody ? { 'content-type': 'application/json' } : {}),
    },
    ...(hasBody ? { body: JSON.stringify(request.body) } : {}),
  }).catch((error: unknown) => {
    throw new HooktrailError('API_UNREACHABLE', { url: target.url }, error)
  })
  if (response.ok) return response
  throw errorOf(response.status, await response.text())
}

function errorOf(status: number, answer: string): HooktrailError {
  const problem = parseJson(answer)
  if (isObject(problem) && typeof problem['code'] === 'string' && isErrorCode(problem['code']))
    return new HooktrailError(problem['code'], isObject(problem['details']) ? problem['details'] : {})
  return new HooktrailError('API_REQUEST_REFUSED', { status, answer: answer.slice(0, ANSWER_LENGTH_MAX) })
}
