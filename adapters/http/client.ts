/** What the command line talks to the API through: token, problem answers as errors, bodies as text or a stream. */
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

export interface ApiTarget {
  readonly url: string
  readonly token: string
}

export interface ApiRequest {
  readonly method?: 'GET' | 'POST'
  readonly body?: unknown
}

/** @throws API_UNREACHABLE, API_REQUEST_REFUSED */
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
  throw new HooktrailError('API_REQUEST_REFUSED', { status: response.status, answer: await response.text() })
}
