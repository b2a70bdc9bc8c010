/**
 * A database of its own for each test, on a real Postgres with fsync on: the server that HOOKTRAIL_TEST_DATABASE_URL
 * names (the whole test run shares it, see global-setup.ts), else one that is started for the caller alone.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { startOwnPostgres, type OwnPostgres } from '../../adapters/postgres/own-postgres.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { Logger } from '../../core/log.ts'

export interface TestDatabase extends AsyncDisposable {
  readonly url: string
}

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

export interface TestCluster extends AsyncDisposable {
  readonly home: string
  readonly postgres: OwnPostgres
}

export async function startTestCluster(): Promise<TestCluster> {
  const home = await mkdtemp(join(tmpdir(), 'hooktrail-test-'))
  const postgres = await startOwnPostgres({ home, clock: systemClock, logger: silentLogger })
  return {
    home,
    postgres,
    [Symbol.asyncDispose]: async () => {
      await postgres[Symbol.asyncDispose]()
      await rm(home, { recursive: true, force: true })
    },
  }
}

export async function createTestDatabase(): Promise<TestDatabase> {
  const shared = process.env['HOOKTRAIL_TEST_DATABASE_URL']
  if (shared !== undefined && shared !== '') return createDatabaseOn(shared)
  const cluster = await startTestCluster()
  const database = await createDatabaseOn(cluster.postgres.url)
  return { url: database.url, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() }
}

async function createDatabaseOn(serverUrl: string): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`
  await execute(serverUrl, `CREATE DATABASE ${name}`)
  return {
    url: serverUrl.replace(/\/[^/?]+(\?|$)/, `/${name}$1`),
    [Symbol.asyncDispose]: () => execute(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
