/** Where the API is and with which token: --url, --token, the environment, then the configuration and the home. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { z } from 'zod'
import { requestApi, type ApiRequest, type ApiTarget } from '../adapters/http/client.ts'
import { colorsFor } from '../adapters/system/colors.ts'
import { readSecretFile } from '../adapters/system/secret-file.ts'
import type { ApiSettings } from '../core/config/read-api-settings.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { hostAndPort } from './composition/listeners.ts'
import { homeOf, loadApiSettings } from './composition/load-config.ts'
import { CASE_FIX } from './report-error.ts'
import { tableText, type Column } from './table.ts'

export interface ApiFlags {
  readonly config: string
  readonly url?: string
  readonly token?: string
  readonly json?: boolean
}

const noticeSchema = z.object({ notice: z.string().nullish() })
const listSchema = z.object({ items: z.array(z.record(z.string(), z.unknown())), next: z.string().nullish() })

const DEFAULT_URL = 'http://127.0.0.1:8888'

export function apiCommand(name: string, about: string, examples: string): Command {
  return new Command(name)
    .description(about)
    .option('-c, --config <file>', 'configuration file, for address and token', 'hooktrail.yaml')
    .option('--url <url>', 'address of the API', process.env['HOOKTRAIL_URL'])
    .option('--token <token>', 'its token (default: HOOKTRAIL_TOKEN, then $HOOKTRAIL_HOME/token)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nExamples:\n  ${examples}\n\nExit codes: 0 done, 64 usage or no token, 65 refused, 69 not reachable`,
    )
}

export async function callApi(flags: ApiFlags, path: string, request?: ApiRequest): Promise<Response> {
  return requestApi(await targetOf(flags), path, request)
}

/** Prints the JSON of the answer, indented for readers; a notice of the API goes to stderr, too. */
export async function printFrom(flags: ApiFlags, path: string, request?: ApiRequest): Promise<void> {
  const response = await callApi(flags, path, request)
  const value: unknown = await response.json()
  console.log(JSON.stringify(value, null, flags.json === true ? 0 : 2))
  const { notice } = noticeSchema.parse(value)
  if (notice) process.stderr.write(`hooktrail: ${notice}\n`)
}

/** Prints a list as a table, or its JSON as it came. How to go on is said on stderr. */
export async function printList(flags: ApiFlags, path: string, columns: readonly Column[]): Promise<void> {
  const value: unknown = await (await callApi(flags, path)).json()
  if (flags.json === true) {
    console.log(JSON.stringify(value))
    return
  }
  const { items, next } = listSchema.parse(value)
  console.log(tableText(columns, items, colorsFor(process.stdout).bold))
  if (next) process.stderr.write(`More: repeat with --cursor ${next}\n`)
}

async function targetOf(flags: ApiFlags): Promise<ApiTarget> {
  const hasFile = existsSync(flags.config)
  const own = flags.token ?? process.env['HOOKTRAIL_TOKEN']
  const needs = { address: flags.url === undefined, token: own === undefined }
  const settings = hasFile ? loadApiSettings(flags, needs) : null
  const url = flags.url ?? (settings === null ? DEFAULT_URL : apiUrlOf(settings))
  requireUrl(url)
  const given = own ?? settings?.authToken
  const tokenFile = resolve(homeOf(process.env), 'token')
  const token = given ?? (await readSecretFile(tokenFile))
  if (token === null) {
    const configured = `api.auth_token in ${resolve(flags.config)} (${hasFile ? 'not set' : 'no such file'})`
    const places = [
      '--token (not given)',
      'HOOKTRAIL_TOKEN (not set)',
      configured,
      `${tokenFile} (no such file)`,
    ]
    throw new HooktrailError('API_TOKEN_MISSING', { looked_at: places.join(', ') })
  }
  return { url, token: token.trim() }
}

/** @throws API_UNREACHABLE */
export function requireUrl(url: string): void {
  if (!URL.canParse(url))
    throw new HooktrailError('API_UNREACHABLE', { url, [CASE_FIX]: 'name it as http://HOST:PORT' })
}

/** Where the API of this configuration listens, as seen from this machine. */
function apiUrlOf({ listen, server }: ApiSettings): string {
  const { host, port } = listen === null ? server : hostAndPort(listen)
  return `http://${reachable(host)}:${port}`
}

/** An address that stands for all of them is reached by loopback. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}

/** Query text of the values that are given. */
export function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) if (value !== undefined) query.set(name, value)
  return query.size === 0 ? '' : `?${query.toString()}`
}
