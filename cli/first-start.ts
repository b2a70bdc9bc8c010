/** The first start without a configuration: writes one, and says where to send, look and verify. */
import { createHmac, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../core/config/config.ts'
import { starterConfig } from '../core/config/starter.ts'
import { ECHO_URL } from './echo.ts'

const PORT = 8888
const SAMPLE = '{"action":"opened","number":1}'

export interface FirstStart {
  readonly file: string
}

export async function prepareFirstStart(file: string): Promise<FirstStart> {
  const secret = randomBytes(24).toString('hex')
  await writeFile(file, starterConfig({ secret, echoUrl: ECHO_URL, port: PORT }), { flag: 'wx', mode: 0o600 })
  process.stderr.write(`wrote ${file}\n`)
  return { file }
}

export interface Welcome {
  readonly config: Config
  readonly home: string
  readonly url: string
}

export function welcomeText({ config, home, url }: Welcome): string {
  const archive = config.archive.directory ?? join(home, 'archive')
  return [
    '',
    `hooktrail listens on ${url}`,
    ...sampleLines(config, url),
    `Look:    curl -H "authorization: Bearer $(cat '${join(home, 'token')}')" ${url}/api/events`,
    `Archive: ${archive}`,
    `Verify:  bin/hooktrail archive verify '${archive}' --key '${join(home, 'keys', 'archive.pub')}'`,
    '',
  ].join('\n')
}

/** The github scheme signs the body alone, so that the line works whenever it is copied. */
function sampleLines({ sources }: Config, url: string): readonly string[] {
  const source = sources.find(({ verify, secrets }) => verify.scheme === 'github' && secrets.length > 0)
  const secret = source?.secrets[0]
  if (source === undefined || secret === undefined) return []
  const signature = createHmac('sha256', secret).update(SAMPLE).digest('hex')
  return [
    `Send:    curl -X POST ${url}/webhooks/${source.name} -H 'content-type: application/json' \\`,
    `           -H 'x-github-event: issues' -H 'x-hub-signature-256: sha256=${signature}' -d '${SAMPLE}'`,
  ]
}
