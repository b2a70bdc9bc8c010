/**
 * A real server for tests, started on loopback without Docker: its output in a file, awaited until it answers, ended
 * by its own pid. What it is made of is provisioned once into a cache, beside its place and renamed, so that an
 * interrupted download is never taken for a whole one.
 */
import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

const PROBE_EVERY_MS = 50
const LOG_CHARACTERS_TOLD = 2_000
const PORT_MIN = 15_000
const PORT_MAX = 32_000

export interface LocalProcess extends AsyncDisposable {
  readonly pid: number
  /** Sends the signal and waits until the process is gone, or with SIGSTOP until none of its threads runs. */
  kill(signal: NodeJS.Signals): Promise<void>
}

export interface LocalProcessOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Appended to. */
  readonly logFile: string
  readonly isReady: () => Promise<boolean>
  readonly readyMsMax: number
}

/** Why a server cannot run on this machine: the tests that need it are skipped, loudly. */
export class ServiceUnavailableError extends Error {}

/** What was opened; or null, and the test is skipped, where it is the reason why it cannot be. */
export async function orSkip<T>(
  t: Pick<TestContext, 'skip'>,
  opening: Promise<T | string>,
): Promise<T | null> {
  const opened = await opening
  if (typeof opened !== 'string') return opened
  t.skip(opened)
  return null
}

export async function startLocalProcess(options: LocalProcessOptions): Promise<LocalProcess> {
  const log = openSync(options.logFile, 'a')
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  closeSync(log)
  const exited = once(child, 'exit')
  exited.catch(() => undefined)
  const { pid } = child
  if (pid === undefined) throw new ServiceUnavailableError(`${options.command} is not installed`)
  const started: LocalProcess = {
    pid,
    kill: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill(signal)
      if (signal === 'SIGSTOP') await untilStopped(pid)
      else if (signal !== 'SIGCONT') await exited
    },
    [Symbol.asyncDispose]: () => started.kill('SIGKILL'),
  }
  try {
    await untilReady(options, () => child.exitCode ?? child.signalCode)
  } catch (error) {
    await started.kill('SIGKILL')
    throw error
  }
  return started
}

/** Each thread stops by itself, some while later; Linux tells, elsewhere the signal has to do. */
async function untilStopped(pid: number): Promise<void> {
  const threads = `/proc/${pid}/task`
  if (!existsSync(threads)) return
  const runs = (thread: string): boolean => {
    try {
      const stat = readFileSync(join(threads, thread, 'stat'), 'latin1')
      return !/^ [Tt]/.test(stat.slice(stat.lastIndexOf(')') + 1))
    } catch {
      // It ended between the listing and the read.
      return false
    }
  }
  while (readdirSync(threads).some(runs)) await delay(1)
}

async function untilReady(
  { command, logFile, isReady, readyMsMax }: LocalProcessOptions,
  ended: () => number | string | null,
): Promise<void> {
  const giveUpAt = performance.now() + readyMsMax
  while (performance.now() < giveUpAt) {
    const end = ended()
    if (end !== null)
      throw new Error(`${command} ended with ${end} before it answered:\n${await tailOf(logFile)}`)
    if (await isReady().catch(() => false)) return
    await delay(PROBE_EVERY_MS)
  }
  throw new Error(`${command} did not answer within ${readyMsMax} ms:\n${await tailOf(logFile)}`)
}

async function tailOf(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).slice(-LOG_CHARACTERS_TOLD)
}

/**
 * The folder `name` of the cache, filled by `make` when it is not there yet. `name` holds the version. Says on stderr
 * that it provisions, since that may take a minute.
 */
export async function provisioned(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(cache, 'hooktrail', name)
  const lock = `${folder}.lock`
  if (await isThere(folder)) return folder
  await mkdir(dirname(folder), { recursive: true })
  // Test files run side by side: one builds, the others wait for it.
  while (!(await claims(lock))) await delay(PROBE_EVERY_MS)
  try {
    if (!(await isThere(folder))) await fill(folder, make)
  } finally {
    await rm(lock, { force: true })
  }
  return folder
}

async function fill(folder: string, make: (folder: string) => Promise<void>): Promise<void> {
  const name = basename(folder)
  process.stderr.write(`provisioning ${name} for the tests, once …\n`)
  const startedAt = performance.now()
  const part = `${folder}.part.${process.pid}`
  await mkdir(part)
  try {
    await make(part)
    await rename(part, folder)
  } finally {
    await rm(part, { recursive: true, force: true })
  }
  process.stderr.write(`provisioned ${name} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`)
}

/** One that a killed process left is removed, and is free at the next try. */
async function claims(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' })
    return true
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  const owner = await readFile(lock, 'utf8').catch(() => '')
  if (owner !== '' && !isAlive(Number(owner))) await rm(lock, { force: true })
  return false
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/**
 * Ports that were free a moment ago, all different. They lie below those that systems give to outgoing connections
 * (32768 and up), so that a server which is started again later does not find one of these on its port.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(PORT_MIN, PORT_MAX)
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const server = createServer()
    .once('error', () => {
      resolve(false)
    })
    .listen(port, '127.0.0.1', () => {
      server.close(() => {
        resolve(true)
      })
    })
  return promise
}
