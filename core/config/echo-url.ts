/**
 * Which URL of a handler asks for the echo receiver of `hooktrail start`: the path says that it is meant, whatever port
 * and name. It needs a port that none of hooktrail's own listeners has, or it would answer the senders in their place.
 */
import type { RawHandler } from './build-config.ts'
import type { Report } from './config-fault.ts'
import type { Sections } from './schema.ts'

export const ECHO_PATH = '/hooktrail-echo'
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]'])

export function isEchoUrl(url: string): boolean {
  const { protocol, hostname, pathname } = new URL(url)
  return protocol === 'http:' && LOOPBACK.has(hostname) && pathname === ECHO_PATH
}

/** An echo receiver on the port of ingress or API would take it from them, and the start would fail or answer for them. */
export function checkEchoPorts(
  { server, api }: Pick<Sections, 'server' | 'api'>,
  handlers: ReadonlyMap<string, RawHandler>,
  report: Report,
): void {
  const own = new Map([[server.port, 'server.port']])
  if (api.listen !== undefined)
    own.set(Number(api.listen.slice(api.listen.lastIndexOf(':') + 1)), 'api.listen')
  for (const [name, { url }] of handlers) {
    const taken = isEchoUrl(url) ? own.get(Number(new URL(url).port || '80')) : undefined
    if (taken !== undefined)
      report({
        at: ['handlers', name, 'url'],
        message: `asks for the echo receiver on the port of ${taken}`,
        hint: 'the echo receiver needs a port of its own',
      })
  }
}
