/** The receiver of the starter configuration: prints each delivery in one line. Loopback only. */
import { createServer } from 'node:http'
import { colors } from '../adapters/system/pretty-line.ts'
import type { Settings } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'

export const ECHO_PORT = 8889
const ECHO_PATH = '/hooktrail-echo'
export const ECHO_URL = `http://127.0.0.1:${ECHO_PORT}${ECHO_PATH}`

/** Runs where a handler of the configuration sends to it; null elsewhere. */
export async function startEcho({ handlers }: Settings): Promise<AsyncDisposable | null> {
  if (!handlers.some(({ url }) => url === ECHO_URL)) return null
  const server = createServer((request, response) => {
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    request.on('end', () => {
      const id = String(request.headers['webhook-id'])
      process.stderr.write(`${colors.green('✓')} echo: delivered ${id} (${bytes} bytes)\n`)
      response.writeHead(200).end('ok')
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(new HooktrailError('PORT_IN_USE', { url: ECHO_URL, for: 'the echo receiver' }, error))
    })
    server.listen(ECHO_PORT, '127.0.0.1', resolve)
  })
  return {
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}
