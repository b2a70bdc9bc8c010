/**
 * The folder that hooktrail's own Postgres lives in: private to this user, with a data folder that is either whole
 * or absent (initdb works beside it and is renamed into place), and of the major version that the programs have.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  access,
  chown,
  constants,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rm,
  stat,
  truncate,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { errnoOf } from '../system/errno.ts'
import { commandFor, postgresPrograms } from './own-postgres-command.ts'

/** The system's limit is 108 bytes on Linux and 104 on macOS, name of the socket included. */
const SOCKET_PATH_BYTES_MAX = 100
const OUTPUT_KEPT = 4_000
const LOG_BYTES_MAX = 16 * 1024 * 1024

export const POSTGRES_MAJOR = 18
export const POSTGRES_USER = 'hooktrail'

/** @throws STORE_HOME_TOO_OPEN, STORE_HOME_NOT_WRITABLE */
export async function openHome(home: string): Promise<void> {
  try {
    await mkdir(home, { recursive: true, mode: 0o700 })
    const { mode } = await stat(home)
    if ((mode & 0o077) !== 0)
      throw new HooktrailError('STORE_HOME_TOO_OPEN', { home, mode: (mode & 0o777).toString(8) })
    await access(home, constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof HooktrailError) throw error
    throw new HooktrailError('STORE_HOME_NOT_WRITABLE', { home, reason: String(error) }, error)
  }
}

/** Makes the data folder unless it is there. @throws STORE_POSTGRES_MAJOR, STORE_POSTGRES_FAILED */
export async function openDataFolder(home: string): Promise<string> {
  const data = join(home, 'postgres')
  const major = await majorOf(data)
  if (major !== null && major !== POSTGRES_MAJOR)
    throw new HooktrailError('STORE_POSTGRES_MAJOR', { data, found: major, needed: POSTGRES_MAJOR })
  if (major === null) await initialize(home, data)
  return data
}

/** Where the unix socket goes: the home itself, or a private temporary folder where its path is too long. */
export async function socketFolder(home: string): Promise<{ path: string; temporary: boolean }> {
  if (Buffer.byteLength(join(home, '.s.PGSQL.5432')) <= SOCKET_PATH_BYTES_MAX)
    return { path: home, temporary: false }
  const path = await mkdtemp(join(tmpdir(), 'hooktrail-'))
  const { uid, gid } = await stat(home)
  await chown(path, uid, gid)
  return { path, temporary: true }
}

/** Keeps one earlier file. The server holds the log open for appending, so it is emptied in place, not moved. */
export async function boundLogFile(home: string): Promise<void> {
  const log = join(home, 'postgres.log')
  const size = await stat(log).then(
    (found) => found.size,
    () => 0,
  )
  if (size <= LOG_BYTES_MAX) return
  await copyFile(log, `${log}.1`)
  await truncate(log)
}

async function majorOf(data: string): Promise<number | null> {
  try {
    return Number.parseInt(await readFile(join(data, 'PG_VERSION'), 'utf8'), 10)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw new HooktrailError('STORE_HOME_NOT_WRITABLE', { data, reason: String(error) }, error)
  }
}

async function initialize(home: string, data: string): Promise<void> {
  const unfinished = `${data}.unfinished`
  await rm(unfinished, { recursive: true, force: true })
  const { program, prefix, identity } = commandFor(postgresPrograms().initdb, home)
  const options = [
    '-D',
    unfinished,
    '-U',
    POSTGRES_USER,
    '-A',
    'trust',
    '-E',
    'UTF8',
    '--no-locale',
    '--no-instructions',
  ]
  const child = spawn(program, [...prefix, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    ...identity,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-OUTPUT_KEPT)
    })
  }
  await once(child, 'close')
  if (child.exitCode !== 0) throw new HooktrailError('STORE_POSTGRES_FAILED', { step: 'initdb', output })
  await rename(unfinished, data)
}
