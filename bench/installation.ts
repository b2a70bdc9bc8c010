/**
 * A real `hooktrail start` in a temporary home for a benchmark: own Postgres with fsync, archive directory, one GitHub
 * source and one handler that points at the sink. What is measured is exactly what a user runs.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { usageOf, usageOfTree, type Usage } from './process-usage.ts'

export const BENCH_SECRET = 'bench-secret-that-is-long-enough'
const READY_MS_MAX = 60_000

export interface Installation extends AsyncDisposable {
  readonly port: number
  readonly socketDirectory: string
  usage(): { readonly node: Usage; readonly postgres: Usage }
  /** Unlabelled or labelled sample of /metrics whose line begins with `name`, summed; 0 when absent. */
  metric(name: string): Promise<number>
}

export interface InstallationOptions {
  readonly sinkPort: number
  readonly concurrency: number
}

export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const folder = mkdtempSync(join(tmpdir(), 'hooktrail-bench-'))
  const home = join(folder, 'home')
  mkdirSync(home, { mode: 0o700 })
  const port = await freePort()
  const file = join(folder, 'hooktrail.yaml')
  writeFileSync(file, configText({ ...options, port }))
  const main = resolve(import.meta.dirname, '..', 'cli', 'main.ts')
  const child = spawn(process.execPath, [...process.execArgv, main, 'start', '-c', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, HOOKTRAIL_HOME: home, HOOKTRAIL_LOG: 'warn' },
  })
  const exited = once(child, 'exit')
  const pid = child.pid
  if (pid === undefined) throw new Error('hooktrail did not start')
  await untilReady(port, () => child.exitCode)
  const token = readFileSync(join(home, 'token'), 'utf8').trim()
  const postmasterFile = readFileSync(join(home, 'postgres', 'postmaster.pid'), 'utf8').split('\n')
  const postmaster = Number(postmasterFile[0])
  return {
    port,
    socketDirectory: postmasterFile[4] ?? '',
    usage: () => ({ node: usageOf(pid), postgres: usageOfTree(postmaster) }),
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

function configText({ port, sinkPort, concurrency }: InstallationOptions & { port: number }): string {
  return `version: 1
server: { host: 127.0.0.1, port: ${port} }
worker: { max_concurrency: ${concurrency} }
sources:
  bench: { verify: github, secrets: [${BENCH_SECRET}] }
handlers:
  sink: { source: bench, url: 'http://127.0.0.1:${sinkPort}/', allow_private: true, concurrency: ${concurrency}, timeout: 30s }
`
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
