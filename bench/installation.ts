/**
 * A real `hooktrail start` in a temporary home for a benchmark: one GitHub source and handlers that point at sinks; own Postgres with fsync and an archive directory, or the services that the caller names. What is measured is
 * exactly what a user runs.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { packageRoot } from '../adapters/system/package-root.ts'
import { usageOf, usageOfTree, type Usage } from './process-usage.ts'

export const BENCH_SECRET = 'bench-secret-that-is-long-enough'
const READY_MS_MAX = 60_000
/** What the references need; all else is for hooktrail to judge. */
const SERVICES = z.looseObject({
  database: z.looseObject({ url: z.string() }),
  log: z.looseObject({ brokers: z.array(z.string()).optional() }).optional(),
})

export interface Installation extends AsyncDisposable {
  readonly port: number
  readonly databaseUrl: string
  /** Null: the log lies in the database. */
  readonly brokers: readonly string[] | null
  /** By process: `node` is hooktrail, the others are its servers, as far as they can be seen from here. */
  usage(): ReadonlyMap<string, Usage>
  /** Unlabelled or labelled sample of /metrics whose line begins with `name`, summed; 0 when absent. */
  metric(name: string): Promise<number>
}

/** Servers that are there already, for this run alone: what is sent stays in them. */
export interface Services {
  /** `digest_key`, `log`, `database`, `queue` and `archive` of a configuration. */
  readonly yaml: string
  readonly env: Readonly<Record<string, string>>
  usage(): ReadonlyMap<string, Usage>
}

export interface InstallationOptions {
  readonly services: Services | null
  readonly handlers: readonly { readonly name: string; readonly port: number }[]
  /** Beside what the services ask for. */
  readonly env?: Readonly<Record<string, string>>
  /** Of each handler. */
  readonly concurrency: number
}

export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-bench-'))
  const home = join(folder, 'home')
  mkdirSync(home, { mode: 0o700 })
  const port = await freePort()
  const file = join(folder, 'hooktrail.yaml')
  writeFileSync(file, configText({ ...options, port }))
  const child = spawn(join(packageRoot(), 'bin', 'hooktrail'), ['start', '-c', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      ...process.env,
      ...{ HOOKTRAIL_HOME: home, HOOKTRAIL_LOG: 'warn' },
      ...options.services?.env,
      ...options.env,
    },
  })
  const exited = once(child, 'exit')
  const pid = child.pid
  if (pid === undefined) throw new Error('hooktrail did not start')
  await untilReady(port, () => child.exitCode)
  const token = readFileSync(join(home, 'token'), 'utf8').trim()
  return {
    port,
    ...(options.services === null ? ownDatabase(home) : serversIn(options.services)),
    usage: () => {
      const servers = options.services === null ? usageOfOwn(home) : options.services.usage()
      return new Map([['node', usageOf(pid)], ...servers])
    },
    metric: async (name) => {
      const response = await fetch(`http://127.0.0.1:${port}/metrics`, {
        headers: { authorization: `Bearer ${token}` },
      })
      return sumOf(await response.text(), name)
    },
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGTERM')
      await exited
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function ownDatabase(home: string): Pick<Installation, 'databaseUrl' | 'brokers'> {
  const [, , , , socketDirectory = ''] = postmasterFile(home)
  const databaseUrl = `postgresql://hooktrail@/hooktrail?host=${encodeURIComponent(socketDirectory)}`
  return { databaseUrl, brokers: null }
}

function serversIn({ yaml }: Services): Pick<Installation, 'databaseUrl' | 'brokers'> {
  const { database, log } = SERVICES.parse(parse(yaml))
  return { databaseUrl: database.url, brokers: log?.brokers ?? null }
}

function usageOfOwn(home: string): ReadonlyMap<string, Usage> {
  return new Map([['postgres', usageOfTree(Number(postmasterFile(home)[0]))]])
}

function postmasterFile(home: string): readonly string[] {
  return readFileSync(join(home, 'postgres', 'postmaster.pid'), 'utf8').split('\n')
}

function configText({
  port,
  handlers,
  concurrency,
  services,
}: InstallationOptions & { port: number }): string {
  return `version: 1
${services?.yaml ?? ''}
server: { host: 127.0.0.1, port: ${port} }
worker: { max_concurrency: ${concurrency * handlers.length} }
sources:
  bench: { verify: github, secrets: [${BENCH_SECRET}] }
handlers:
${handlers.map(({ name, port }) => handlerLine(name, port, concurrency)).join('\n')}
`
}

function handlerLine(name: string, port: number, concurrency: number): string {
  return `  ${name}: { source: bench, url: 'http://127.0.0.1:${port}/', allow_private: true, concurrency: ${concurrency}, timeout: 30s }`
}

async function untilReady(port: number, exitCode: () => number | null): Promise<void> {
  const giveUpAt = performance.now() + READY_MS_MAX
  while (performance.now() < giveUpAt) {
    if (exitCode() !== null) throw new Error(`hooktrail ended with ${String(exitCode())} before it was ready`)
    const ready = await fetch(`http://127.0.0.1:${port}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (ready) return
    await delay(50)
  }
  throw new Error('hooktrail was not ready in time')
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function sumOf(page: string, name: string): number {
  return page
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
