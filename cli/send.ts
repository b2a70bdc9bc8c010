/** `hooktrail send`: signs a payload with the configured secret of a source and posts it. */
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import type { SourceConfig } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { loadConfig } from './composition/load-config.ts'

interface SendFlags {
  readonly config: string
  readonly url?: string
  readonly type: string
}

export function sendCommand(): Command {
  return new Command('send')
    .description('sign a payload and post it to a source (schemes github, stripe, none)')
    .argument('<source>', 'name of the source')
    .argument('<data>', 'JSON text, or @file')
    .option('-c, --config <file>', 'configuration file', 'hooktrail.yaml')
    .option('--url <url>', 'address of the ingress', process.env['HOOKTRAIL_URL'])
    .option('--type <type>', 'type of the event, where a header says it', 'test')
    .addHelpText(
      'after',
      `\nExamples:\n  hooktrail send demo '{"n":1}'\n  hooktrail send demo @event.json --type issues`,
    )
    .action(send)
}

async function send(name: string, data: string, flags: SendFlags): Promise<void> {
  const { config } = loadConfig(flags.config)
  const source = config.sources.find((one) => one.name === name)
  if (source === undefined) throw new HooktrailError('INGRESS_UNKNOWN_SOURCE', { source: name })
  const body = data.startsWith('@') ? readFileSync(data.slice(1)) : Buffer.from(data)
  const url = new URL(`/webhooks/${name}`, flags.url ?? `http://127.0.0.1:${config.server.port}`)
  const headers = { 'content-type': 'application/json', ...signatureOf(source, body, flags.type) }
  const response = await fetch(url, { method: 'POST', headers, body }).catch((error: unknown) => {
    throw new HooktrailError('API_UNREACHABLE', { url: url.href }, error)
  })
  const answer = await response.text()
  if (!response.ok) throw new HooktrailError('API_REQUEST_REFUSED', { status: response.status, answer })
  console.log(answer)
}

function signatureOf({ verify, secrets }: SourceConfig, body: Buffer, type: string): Record<string, string> {
  const secret = secrets[0] ?? ''
  switch (verify.scheme) {
    case 'none':
      return {}
    case 'github': {
      const signature = createHmac('sha256', secret).update(body).digest('hex')
      return { 'x-github-event': type, 'x-hub-signature-256': `sha256=${signature}` }
    }
    case 'stripe': {
      const at = Math.floor(Date.now() / 1000)
      const signature = createHmac('sha256', secret).update(`${at}.`).update(body).digest('hex')
      return { 'stripe-signature': `t=${at},v1=${signature}` }
    }
    case 'standard-webhooks':
    case 'hmac':
      throw new HooktrailError('API_INVALID_REQUEST', {
        scheme: verify.scheme,
        reason: 'send cannot sign it yet',
      })
    default:
      return verify.scheme satisfies never
  }
}
