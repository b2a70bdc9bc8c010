/**
 * A real `hooktrail start` for end-to-end and fault tests, run as a user runs it: `bin/hooktrail start -c FILE` in a
 * process group of its own, so that a test can kill the whole group. The folder outlives the process: starting again
 * in it is a restart.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { endWithTests } from './child-processes.ts'
import { freePorts } from './services/local-process.ts'

export const HOOKTRAIL = resolve(import.meta.dirname, '..', '..', 'bin', 'hooktrail')
const READY_MS_MAX = 60_000

export interface InstallationOptions {
  readonly folder: string
  readonly port: number
  /** YAML below `version` and `server`, which are written here. */
  readonly config: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Installation extends AsyncDisposable {
  readonly url: string
  readonly home: string
  readonly configFile: string
  /** Leader of the process group. */
  readonly pid: number
  readonly output: () => string
  readonly exited: Promise<number | null>
  /** GET or POST on the API with the token; JSON of the answer. */
  api(path: string, init?: { method?: string; body?: unknown }): Promise<unknown>
  /** Runs bin/hooktrail against this installation. */
  cli(...args: readonly string[]): Promise<CliResult>
  /** SIGKILL to the whole group; resolves when the leader is gone. */
  killGroup(): Promise<void>
  /** SIGTERM, then the exit code. */
  stop(): Promise<number | null>
}

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const home = join(options.folder, 'home')
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const configFile = join(options.folder, 'hooktrail.yaml')
  writeFileSync(
    configFile,
    `version: 1\nserver: { host: 127.0.0.1, port: ${options.port} }\n${options.config}`,
  )
  const env = { ...process.env, HOOKTRAIL_HOME: home, HOOKTRAIL_LOG: 'warn', ...options.env }
  const child = spawn(HOOKTRAIL, ['start', '-c', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    detached: true,
  })
  endWithTests(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-100_000)
    })
  }
  const exited = once(child, 'exit').then(() => child.exitCode)
  const pid = child.pid ?? 0
  const url = `http://127.0.0.1:${options.port}`
  await untilReady(
    url,
    () => child.exitCode !== null,
    () => output,
  )

  const installation: Installation = {
    url,
    home,
    configFile,
    pid,
    exited,
    output: () => output,
    api: async (path, init = {}) => {
      const token = readFileSync(join(home, 'token'), 'utf8').trim()
      const response = await fetch(url + path, {
        method: init.method ?? 'GET',
        headers: {
          authorization: `Bearer ${token}`,
          ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(init.body === undefined ? {} : { body: JSON.stringify(init.body) }),
      })
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
      return response.json()
    },
    cli: (...args) => runCli(args, env),
    killGroup: async () => {
      process.kill(-pid, 'SIGKILL')
      await exited
    },
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
      return exited
    },
    [Symbol.asyncDispose]: async () => {
      await installation.stop()
    },
  }
  return installation
}

export async function runCli(args: readonly string[], env: NodeJS.ProcessEnv): Promise<CliResult> {
  const child = spawn(HOOKTRAIL, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  await once(child, 'close')
  return { code: child.exitCode, stdout, stderr }
}

/** Asks until `check` gives something; fails with `what` when it has not after `msMax`. */
export async function eventually<T>(what: string, msMax: number, check: () => Promise<T | null>): Promise<T> {
  const giveUpAt = performance.now() + msMax
  for (;;) {
    const value = await check()
    if (value !== null) return value
    if (performance.now() > giveUpAt) throw new Error(`never happened: ${what}`)
    await delay(50)
  }
}

export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1)
  return port
}

async function untilReady(url: string, ended: () => boolean, output: () => string): Promise<void> {
  await eventually(`${url} is ready`, READY_MS_MAX, async () => {
    if (ended()) throw new Error(`hooktrail ended before it was ready:\n${output()}`)
    return fetch(`${url}/health/ready`).then(
      ({ ok }) => (ok ? true : null),
      () => null,
    )
  })
}
