/** `hooktrail send`: signs a payload with the configured secret of a source and posts it. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { requireUrl } from './api-options.ts'
import { loadConfig } from './composition/load-config.ts'
import { signedHeaders } from './sign-request.ts'

interface SendFlags {
  readonly config: string
  readonly url?: string
  readonly type: string
}

export function sendCommand(): Command {
  return new Command('send')
    .description(
      'sign a payload as the scheme of the source wants it, and post it; prints the answer as JSON',
    )
    .argument('<source>', 'name of the source')
    .argument('<data>', 'JSON text, or @file')
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .option('--url <url>', 'address of the ingress', process.env['HOOKTRAIL_URL'])
    .option('--type <type>', 'type of the event, where a header says it', 'test')
    .addHelpText(
      'after',
      `\nExamples:\n  hooktrail send demo '{"n":1}'\n  hooktrail send demo @event.json --type issues\n\nExit codes: 0 acknowledged, 64 usage, 65 refused, 69 not reachable, 78 configuration`,
    )
    .action(send)
}

async function send(name: string, data: string, flags: SendFlags): Promise<void> {
  const { config } = loadConfig(flags)
  const source = config.sources.find((one) => one.name === name)
  if (source === undefined) throw new HooktrailError('INGRESS_UNKNOWN_SOURCE', { source: name })
  const body = data.startsWith('@') ? readData(data.slice(1)) : Buffer.from(data)
  const base = flags.url ?? `http://127.0.0.1:${config.server.port}`
  requireUrl(base)
  const url = new URL(`/webhooks/${name}`, base)
  const request = { body, id: randomUUID(), nowSeconds: Math.floor(Date.now() / 1000), type: flags.type }
  const headers = { 'content-type': 'application/json', ...signedHeaders(source, request) }
  const response = await fetch(url, { method: 'POST', headers, body }).catch((error: unknown) => {
    throw new HooktrailError('API_UNREACHABLE', { url: url.href }, error)
  })
  const answer = await response.text()
  // Something else may listen there and answer 200 to anything.
  if (!response.ok || !answer.includes('"event_id"'))
    throw new HooktrailError('API_REQUEST_REFUSED', { url: url.href, status: response.status, answer })
  console.log(answer)
}

function readData(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new HooktrailError('SEND_FILE_UNREADABLE', { file }, error)
  }
}
