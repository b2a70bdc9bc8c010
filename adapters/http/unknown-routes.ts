/**
 * What is answered where no route is: 405 with the methods that the path has, else 404 with where to look. For an
 * instance and what is registered in it, so that a part behind a token tells nobody else which routes it has.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from './problem.ts'

/** Call it before the routes are registered. Returns its answer, for error handlers. */
export function answerUnknownRoutes(
  app: FastifyInstance,
): (request: FastifyRequest, reply: FastifyReply) => FastifyReply {
  const methodsByPattern = new Map<string, string[]>()
  app.addHook('onRoute', ({ method, url }) => {
    methodsByPattern.set(url, [...(methodsByPattern.get(url) ?? []), ...[method].flat()])
  })
  const answer = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { method, url } = request
    const [path = ''] = url.split('?')
    const methods = [...methodsByPattern].flatMap(([pattern, names]) => (fits(path, pattern) ? names : []))
    if (methods.length === 0 || methods.includes(method))
      return sendProblem(reply, { status: 404, code: 'API_NO_ROUTE', details: { method, path } })
    const allow = [...new Set(methods)].sort().join(', ')
    void reply.header('allow', allow)
    return sendProblem(reply, {
      status: 405,
      code: 'API_METHOD_NOT_ALLOWED',
      details: { method, path, allow },
    })
  }
  app.setNotFoundHandler(answer)
  return answer
}

function fits(path: string, pattern: string): boolean {
  const parts = path.split('/')
  const expected = pattern.split('/')
  return (
    parts.length === expected.length &&
    expected.every((name, index) => (name.startsWith(':') ? parts[index] !== '' : parts[index] === name))
  )
}
