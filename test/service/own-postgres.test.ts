/** hooktrail's own Postgres as operators meet it: start, stop, kill -9 of either process, two on one folder, bad folders. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { commandFor, postgresPrograms } from '../../adapters/postgres/own-postgres-command.ts'
import { startTimeOf } from '../../adapters/postgres/own-postgres-lock.ts'
import { startOwnPostgres, type OwnPostgres } from '../../adapters/postgres/own-postgres.ts'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { requireDurableSettings } from '../../adapters/postgres/session.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { silentLogger } from '../support/postgres.ts'

type Code = Parameters<typeof isHooktrailError>[1]

async function temporaryHome(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'hooktrail-own-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

function startIn(home: string): Promise<OwnPostgres> {
  return startOwnPostgres({ home, clock: systemClock, logger: silentLogger })
}

function open(url: string): Database {
  return openDatabase({ url, connectionsMax: 1, applicationName: 'test', logger: silentLogger })
}

async function startChild(
  home: string,
): Promise<{ line: string; kill(signal: NodeJS.Signals): Promise<void> }> {
  const program = join(import.meta.dirname, '../support/own-postgres-child.ts')
  const child = spawn(process.execPath, [program, home], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const line = Promise.withResolvers<string>()
  child.stdout.once('data', (chunk: Buffer) => {
    line.resolve(chunk.toString().trim())
  })
  return {
    line: await line.promise,
    kill: async (signal) => {
      child.kill(signal)
      await exited
    },
  }
}

const refusedWith = (code: Code) => (error: unknown) => isHooktrailError(error, code)

test('data written before a stop is there after the next start, and nothing is left running', async () => {
  await using home = await temporaryHome()
  const first = await startIn(home.path)
  {
    await using database = open(first.url)
    await requireDurableSettings(database)
    await database.query('CREATE TABLE public.kept AS SELECT 7 AS value')
  }
  await first[Symbol.asyncDispose]()
  await first[Symbol.asyncDispose]()
  await first.done
  assert.equal(startTimeOf(first.pid), null)
  await using second = await startIn(home.path)
  await using database = open(second.url)
  assert.deepEqual(await database.query('SELECT value FROM public.kept'), [{ value: 7 }])
})

test('after kill -9 of its process the server that is left is stopped and the data taken over', async () => {
  await using home = await temporaryHome()
  const child = await startChild(home.path)
  const survivor = Number(/^started (\d+)$/.exec(child.line)?.[1])
  await child.kill('SIGKILL')
  assert.notEqual(startTimeOf(survivor), null, 'the postmaster outlives its parent')
  await using postgres = await startIn(home.path)
  assert.equal(startTimeOf(survivor), null)
  await using database = open(postgres.url)
  assert.deepEqual(await database.query('SELECT 1 AS one'), [{ one: 1 }])
})

test('a server that is killed alone is started again', async () => {
  await using home = await temporaryHome()
  await using postgres = await startIn(home.path)
  const killed = postgres.pid
  process.kill(killed, 'SIGKILL')
  await using database = open(postgres.url)
  const giveUpAt = systemClock.monotonic() + 20_000
  while (postgres.pid === killed && systemClock.monotonic() < giveUpAt)
    await systemClock.sleep(5, new AbortController().signal)
  assert.deepEqual(await database.query('SELECT 1 AS one'), [{ one: 1 }])
})

test('a second process on the same folder is refused and the first one goes on', async () => {
  await using home = await temporaryHome()
  const child = await startChild(home.path)
  await assert.rejects(startIn(home.path), refusedWith('STORE_HOME_LOCKED'))
  await child.kill('SIGTERM')
  const next = await startIn(home.path)
  await next[Symbol.asyncDispose]()
})

test('of several that start at once exactly one wins, also over the lock of a dead process', async () => {
  await using home = await temporaryHome()
  const dead = await startChild(home.path)
  await dead.kill('SIGKILL')
  const children = await Promise.all([1, 2, 3, 4].map(() => startChild(home.path)))
  const lines = children.map(({ line }) => line.replace(/\d+$/, ''))
  assert.deepEqual(lines.sort(), [
    'refused STORE_HOME_LOCKED',
    'refused STORE_HOME_LOCKED',
    'refused STORE_HOME_LOCKED',
    'started ',
  ])
  await Promise.all(children.map((child) => child.kill('SIGTERM')))
})

test('a data folder of another major version is refused untouched', async () => {
  await using home = await temporaryHome()
  await mkdir(join(home.path, 'postgres'))
  await writeFile(join(home.path, 'postgres', 'PG_VERSION'), '19\n')
  await assert.rejects(startIn(home.path), refusedWith('STORE_POSTGRES_MAJOR'))
  assert.equal(await readFile(join(home.path, 'postgres', 'PG_VERSION'), 'utf8'), '19\n')
})

test('a folder that others may enter is refused, and so is one that cannot be made', async () => {
  await using home = await temporaryHome()
  await chmod(home.path, 0o750)
  await assert.rejects(startIn(home.path), refusedWith('STORE_HOME_TOO_OPEN'))
  await writeFile(join(home.path, 'file'), '')
  await assert.rejects(startIn(join(home.path, 'file', 'home')), refusedWith('STORE_HOME_NOT_WRITABLE'))
})

test('a folder whose path is too long for a socket works all the same', async () => {
  await using home = await temporaryHome()
  await using postgres = await startIn(join(home.path, 'x'.repeat(120)))
  await using database = open(postgres.url)
  assert.deepEqual(await database.query('SELECT 1 AS one'), [{ one: 1 }])
})

test('a server with fsync off, or with full_page_writes off, is refused as a log', async () => {
  await using home = await temporaryHome()
  const first = await startIn(home.path)
  await first[Symbol.asyncDispose]()
  for (const setting of ['fsync=off', 'full_page_writes=off']) {
    const { program, prefix } = commandFor(postgresPrograms().postgres, home.path)
    const options = [
      '-D',
      first.dataDirectory,
      '-k',
      first.socketDirectory,
      '-c',
      'listen_addresses=',
      '-c',
      setting,
    ]
    const server = spawn(program, [...prefix, ...options], { stdio: ['ignore', 'ignore', 'pipe'] })
    const exited = once(server, 'exit')
    for await (const chunk of server.stderr) if (String(chunk).includes('ready to accept')) break
    await using database = open(first.url)
    await assert.rejects(requireDurableSettings(database), refusedWith('LOG_FSYNC_OFF'))
    server.kill('SIGINT')
    await exited
  }
})
