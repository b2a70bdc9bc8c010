/**
 * The few settings by which a command finds the API: where it listens, and its token. Whatever else the file says, and
 * whichever variables that names, concerns the processes alone: who only asks them need not have their secrets.
 */
import { z } from 'zod'
import type { ConfigFault, Report } from './config-fault.ts'
import { dotted, readConfigText, type ConfigFile } from './config-text.ts'
import type { Surroundings } from './expand-text.ts'
import { parseSection, type Part } from './parse-section.ts'
import { sectionSchemas } from './schema.ts'

/** What the caller does not know already. */
export interface ApiNeeds {
  readonly address: boolean
  readonly token: boolean
}

export interface ApiSettings {
  readonly server: { readonly host: string; readonly port: number }
  readonly listen: string | null
  readonly authToken: string | null
}

export type ApiSettingsResult =
  | { readonly ok: true; readonly settings: ApiSettings }
  | { readonly ok: false; readonly faults: readonly ConfigFault[] }

/** Paths whose faults matter; the empty one is the syntax of the whole file. */
const ADDRESS_PATHS = ['server', 'server.host', 'server.port', 'api', 'api.listen'] as const
const TOKEN_PATHS = ['api', 'api.auth_token'] as const

const serverSchema = sectionSchemas.server.pick({ host: true, port: true }).strip()
const listenSchema = sectionSchemas.api.pick({ listen: true }).strip()
const tokenSchema = sectionSchemas.api.pick({ auth_token: true }).strip()
const rootSchema = z.looseObject({ server: z.unknown(), api: z.unknown() }).partial()

/** What is not needed has its default. */
export function readApiSettings(
  file: ConfigFile,
  surroundings: Surroundings,
  needs: ApiNeeds,
): ApiSettingsResult {
  const text = readConfigText(file, surroundings)
  const paths = new Set(['', ...(needs.address ? ADDRESS_PATHS : []), ...(needs.token ? TOKEN_PATHS : [])])
  const faults = text.faults.filter(({ path }) => paths.has(path))
  const report: Report = (fault) => {
    if (!text.refused.has(dotted(fault.at))) faults.push(text.place(fault))
  }
  const root = rootSchema.safeParse(text.value ?? {}).data ?? {}
  const part = (name: 'server' | 'api', isNeeded: boolean): Part => ({
    ...{ at: [name], value: (isNeeded ? root[name] : null) ?? {} },
  })
  const server = parseSection(serverSchema, part('server', needs.address), report)
  const listener = parseSection(listenSchema, part('api', needs.address), report)
  const token = parseSection(tokenSchema, part('api', needs.token), report)
  if (faults.length > 0 || server === null || listener === null || token === null)
    return { ok: false, faults }
  return {
    ok: true,
    settings: { server, listen: listener.listen ?? null, authToken: token.auth_token ?? null },
  }
}
