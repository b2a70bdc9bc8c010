/** docker-compose.yml and what belongs to it, read for tests: services with their defaults merged, variables, paths. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { parse } from 'yaml'
import { ROOT } from './source-tree.ts'

export interface ComposeService {
  readonly image: string
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly user?: string
  readonly restart?: string
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
  readonly environment?: readonly string[] | Readonly<Record<string, string>>
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly deploy?: { readonly resources: { readonly limits: Readonly<Record<string, unknown>> } }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly command?: readonly string[]
  readonly stop_grace_period?: string
}

export interface ComposeFile {
  readonly services: ReadonlyMap<string, ComposeService>
  readonly volumes: readonly string[]
  /** Names of `${NAME}` and of what is handed on by its name alone. */
  readonly variables: ReadonlySet<string>
}

export function projectFile(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8')
}

export function readComposeFile(): ComposeFile {
  const text = projectFile('docker-compose.yml')
  const file = parse(text, { merge: true }) as {
    readonly services: Readonly<Record<string, ComposeService>>
    readonly volumes: Readonly<Record<string, null>>
  }
  const services = new Map(Object.entries(file.services))
  const handedOn = [...services.values()].flatMap((service) =>
    [...environmentOf(service)].flatMap(([name, value]) => (value === null ? name : [])),
  )
  const variables = new Set([...variablesIn(text), ...handedOn])
  return { services, volumes: Object.keys(file.volumes), variables }
}

/** The value is null where the variable is handed on by its name alone. */
export function environmentOf({ environment = [] }: ComposeService): ReadonlyMap<string, string | null> {
  if (!isList(environment)) return new Map(Object.entries(environment))
  return new Map(
    environment.map((entry) => {
      const [name = '', ...value] = entry.split('=')
      return [name, value.length === 0 ? null : value.join('=')]
    }),
  )
}

function isList(value: NonNullable<ComposeService['environment']>): value is readonly string[] {
  return Array.isArray(value)
}

/** `${NAME}`, with or without a default; `$${NAME}` is none. */
export function variablesIn(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/(?<!\$)\$\{(\w+)/g)].flatMap(([, name]) => name ?? []))
}

export function exampleEnv(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(parseEnv(projectFile('.env.example'))).map(([name, value]) => [name, value ?? '']),
  )
}
