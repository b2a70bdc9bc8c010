/**
 * The receiver of the starter configuration: prints each delivery in one line. It listens where a handler's URL is
 * `http://127.0.0.1:PORT/hooktrail-echo`, whatever the port and the handler's name; the path says that it is meant.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { colors } from '../adapters/system/pretty-line.ts'
import type { Settings } from '../core/config/config.ts'
import { ECHO_PATH, isEchoUrl } from '../core/config/echo-url.ts'
import { withoutQuery } from '../core/config/redact-config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { Logger } from '../core/log.ts'

/** As the starter configuration names its handler. */
const ECHO_HANDLER = 'echo'

/** Of the starter configuration. */
export const ECHO_URL = `http://127.0.0.1:8889${ECHO_PATH}`

/** One receiver for each such URL; null where there is none. @throws PORT_IN_USE */
export async function startEcho(
  { handlers }: Pick<Settings, 'handlers'>,
  logger: Logger,
): Promise<AsyncDisposable | null> {
  const urls = new Set(handlers.map(({ url }) => url).filter(isEchoUrl))
  const other = handlers.find(({ name, url }) => name === ECHO_HANDLER && !urls.has(url))
  if (other !== undefined)
    logger.info(
      { url: withoutQuery(other.url) },
      'no echo receiver runs for handler echo: its url is not http://127.0.0.1:PORT/hooktrail-echo',
    )
  if (urls.size === 0) return null
  await using opened = new AsyncDisposableStack()
  for (const url of urls) opened.adopt(await openReceiver(url), close)
  return opened.move()
}

async function openReceiver(url: string): Promise<Server> {
  const { hostname, port } = new URL(url)
  const server = createServer(answer)
  server.listen(Number(port || '80'), hostname.replace(/^\[(.*)\]$/, '$1'))
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new HooktrailError('PORT_IN_USE', { url, for: 'the echo receiver' }, error)
  }
  return server
}

/** Nothing but a delivery is answered 2xx: a sender that comes here by mistake must not believe that its event is kept. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const id = request.headers['webhook-id']
  if (request.url?.split('?')[0] !== ECHO_PATH || typeof id !== 'string') {
    response.writeHead(404, { connection: 'close' }).end()
    return
  }
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  request.on('end', () => {
    process.stderr.write(`${colors.green('✓')} echo: delivered ${id} (${bytes} bytes)\n`)
    response.writeHead(200).end('ok')
  })
}

async function close(server: Server): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}
