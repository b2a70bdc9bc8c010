/** The first start without a configuration: writes one. Every start with its echo receiver says what to copy next. */
import { createHmac, randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { colors } from '../adapters/system/pretty-line.ts'
import type { Settings } from '../core/config/config.ts'
import { starterConfig } from '../core/config/starter.ts'
import { archiveLocation } from '../core/config/warn-config.ts'
import { homeOf } from './composition/load-config.ts'
import { packageRoot } from '../adapters/system/package-root.ts'
import { ECHO_URL } from './echo.ts'

const PORT = 8888
const SAMPLE = '{"action":"opened","number":1}'

export async function prepareFirstStart(file: string): Promise<void> {
  const secret = randomBytes(24).toString('hex')
  await writeFile(file, starterConfig({ secret, echoUrl: ECHO_URL, port: PORT }), { flag: 'wx', mode: 0o600 })
  process.stderr.write(`Wrote ${file}: one source, one handler, a fresh secret.\n`)
}

export interface Welcome {
  readonly config: Settings
  readonly url: string
}

export function welcomeText({ config, url }: Welcome): string {
  const home = homeOf(process.env)
  const archive = quoted(archiveLocation(config.archive, join(home, 'archive')))
  const program = programName()
  return [
    '',
    `${colors.bold('hooktrail')} listens on ${colors.cyan(url)}`,
    '',
    ...sampleLines(config, url),
    'Look around, in another terminal:',
    `  ${program} status`,
    `  ${program} events list`,
    `  ${program} archive verify ${archive} --key ${quoted(join(home, 'keys', 'archive.pub'))}`,
    '',
    colors.dim('Ctrl-C stops it. Settings: hooktrail.yaml and docs/config.md'),
    '',
    '',
  ].join('\n')
}

/** The github scheme signs the body alone, so that the line works whenever it is copied. */
function sampleLines({ sources }: Settings, url: string): readonly string[] {
  const source = sources.find(({ verify, secrets }) => verify.scheme === 'github' && secrets.length > 0)
  const secret = source?.secrets[0]
  if (source === undefined || secret === undefined) return []
  const signature = createHmac('sha256', secret).update(SAMPLE).digest('hex')
  return [
    'Send a signed event, and watch it arrive below:',
    `  curl ${url}/webhooks/${source.name} -H 'content-type: application/json' -H 'x-github-event: issues' \\`,
    `    -H 'x-hub-signature-256: sha256=${signature}' \\`,
    `    -d '${SAMPLE}'`,
    '',
  ]
}

/** How this program is called from here: by its path in a clone, by its name where it is installed. */
function programName(): string {
  const root = packageRoot()
  if (root.split(sep).includes('node_modules')) return 'hooktrail'
  const program = join(root, 'bin', 'hooktrail')
  const fromHere = relative(process.cwd(), program)
  return quoted(fromHere.startsWith('..') ? program : fromHere)
}

function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
