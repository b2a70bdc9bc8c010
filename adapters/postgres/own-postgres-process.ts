/**
 * One postmaster: started with settings that are ours whatever the folder says, awaited until it takes connections,
 * stopped fast. It has a process group of its own, so that Ctrl-C reaches hooktrail first, which then stops it in
 * order. The price: kill -9 of hooktrail, or of its whole group, leaves it running. The next start stops such a
 * survivor instead of adopting it: a child's end is noticed at once, its settings are known, and it costs less
 * than a second.
 */
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, readlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { NEVER } from '../../core/deadline.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { errnoOf } from '../system/errno.ts'
import { commandFor, postgresPrograms } from './own-postgres-command.ts'
import { startTimeOf } from './own-postgres-lock.ts'

export interface PostgresPlaces {
  readonly home: string
  readonly data: string
  readonly socket: string
}

export interface Postmaster {
  readonly pid: number
  /** Resolves when the process has ended. */
  readonly exited: Promise<void>
  /** After its end the pid may be somebody else's: no signal is sent to it any more. */
  hasExited(): boolean
}

const POLL_MS = 20
const READY_MS_MAX = 60_000
const STOP_STEPS = [
  ['SIGINT', 20_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
] as const

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  max_connections: '100',
  shared_buffers: '128MB',
  wal_buffers: '16MB',
  max_wal_size: '2GB',
  min_wal_size: '256MB',
  checkpoint_timeout: '15min',
  wal_writer_delay: '1s',
  bgwriter_delay: '1s',
  autovacuum_naptime: '15s',
  autovacuum_max_workers: '2',
  max_parallel_workers_per_gather: '0',
  io_method: 'sync',
  jit: 'off',
  huge_pages: 'off',
  random_page_cost: '1.1',
  log_min_messages: 'warning',
  log_line_prefix: '%m [%p] ',
}

/** @throws STORE_POSTGRES_FAILED */
export async function startPostmaster(places: PostgresPlaces, clock: Clock): Promise<Postmaster> {
  const { program, prefix, identity } = commandFor(postgresPrograms().postgres, places.home)
  const settings = Object.entries({ ...SETTINGS, unix_socket_directories: places.socket })
  const log = openSync(join(places.home, 'postgres.log'), 'a', 0o600)
  const child = spawn(
    program,
    [...prefix, '-D', places.data, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
      ...identity,
    },
  )
  closeSync(log)
  const { promise: exited, resolve } = Promise.withResolvers<void>()
  child.once('exit', () => {
    resolve()
  })
  child.once('error', () => {
    resolve()
  })
  let ended = false
  const postmaster = { pid: child.pid ?? 0, exited, hasExited: () => ended }
  void exited.then(() => {
    ended = true
  })
  await untilReady(postmaster, places, clock)
  return postmaster
}

export async function stopPostmaster(postmaster: Postmaster, clock: Clock): Promise<void> {
  for (const [signal, waitMs] of STOP_STEPS) {
    if (postmaster.hasExited() || !sendSignal(postmaster.pid, signal)) return
    if (await endsWithin(postmaster.exited, waitMs, clock)) return
  }
}

/** Stops the postmaster that an earlier hooktrail left behind in this folder, if one runs. */
export async function stopSurvivor(data: string, clock: Clock): Promise<number | null> {
  const pid = postmasterPid(data)
  if (pid === null || !isPostmasterOf(pid, data)) return null
  const startTime = startTimeOf(pid)
  for (const [signal, waitMs] of STOP_STEPS) {
    sendSignal(pid, signal)
    const giveUpAt = clock.monotonic() + waitMs
    while (clock.monotonic() < giveUpAt) {
      if (startTimeOf(pid) !== startTime) return pid
      await clock.sleep(POLL_MS, NEVER)
    }
  }
  throw new HooktrailError('STORE_POSTGRES_FAILED', { step: 'stopping the one that runs', pid })
}

async function untilReady(postmaster: Postmaster, places: PostgresPlaces, clock: Clock): Promise<void> {
  const giveUpAt = clock.monotonic() + READY_MS_MAX
  while (clock.monotonic() < giveUpAt) {
    const lines = pidFileLines(places.data)
    if (lines[0] === String(postmaster.pid) && lines[7]?.trim() === 'ready') return
    if (await endsWithin(postmaster.exited, POLL_MS, clock)) break
  }
  await stopPostmaster(postmaster, clock)
  const output = readFileSync(join(places.home, 'postgres.log'), 'utf8').slice(-1_000)
  throw new HooktrailError('STORE_POSTGRES_FAILED', { step: 'start', output })
}

async function endsWithin(exited: Promise<void>, ms: number, clock: Clock): Promise<boolean> {
  const timer = new AbortController()
  try {
    return await Promise.race([exited.then(() => true), clock.sleep(ms, timer.signal).then(() => false)])
  } finally {
    timer.abort()
  }
}

function pidFileLines(data: string): readonly string[] {
  try {
    return readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}

function postmasterPid(data: string): number | null {
  const pid = Number(pidFileLines(data)[0])
  return Number.isSafeInteger(pid) && pid > 1 ? pid : null
}

/** A pid may have been given to somebody else: a postmaster works in its data folder. */
function isPostmasterOf(pid: number, data: string): boolean {
  if (startTimeOf(pid) === null) return false
  if (process.platform !== 'linux') return true
  try {
    const folder = readlinkSync(`/proc/${pid}/cwd`)
    return folder === data && basename(readlinkSync(`/proc/${pid}/exe`)).startsWith('postgres')
  } catch {
    // Gone meanwhile, or another user's: then it is not ours.
    return false
  }
}

function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return false
    throw error
  }
}
