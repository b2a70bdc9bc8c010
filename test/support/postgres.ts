/**
 * A database of its own for each test, on a real Postgres with fsync on: the server that HOOKTRAIL_TEST_DATABASE_URL
 * names (the whole test run shares it, see global-setup.ts), else one that is started for the caller alone: in Docker,
 * or hooktrail's own. Tests that kill or stop the server use hooktrail's own (startTestCluster).
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { migrate } from '../../adapters/postgres/migrate.ts'
import { startOwnPostgres, type OwnPostgres } from '../../adapters/postgres/own-postgres.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/log.ts'
import { inDocker, startContainer } from './services/docker.ts'

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

export async function startTestCluster(clock: Clock = systemClock): Promise<TestCluster> {
  const home = await mkdtemp(join(tmpdir(), 'hooktrail-test-'))
  const postgres = await startOwnPostgres({ home, clock, logger: silentLogger })
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
  const server = await startTestServer()
  const database = await createDatabaseOn(server.url)
  return { url: database.url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

/** As createTestDatabase, with the schema of this version and an identity of its own: a copy is a quarter of the work. */
export async function createMigratedDatabase(): Promise<TestDatabase> {
  const shared = process.env['HOOKTRAIL_TEST_DATABASE_URL'] ?? ''
  const template = process.env['HOOKTRAIL_TEST_DATABASE_TEMPLATE'] ?? ''
  if (shared === '' || template === '') return createTestDatabase()
  const database = await createDatabaseOn(shared, `TEMPLATE ${template}`)
  await execute(database.url, 'UPDATE hooktrail.store SET store_id = gen_random_uuid()')
  return database
}

/** What createMigratedDatabase copies, for a whole test run: nobody may be connected to it. */
export async function createTemplate(serverUrl: string): Promise<TestDatabase & { readonly name: string }> {
  const created = await createDatabaseOn(serverUrl)
  await using database = openDatabase({
    url: created.url,
    connectionsMax: 1,
    applicationName: 'test-template',
    logger: silentLogger,
  })
  await migrate(database)
  return created
}

/** For tests that leave the server alone. */
export async function startTestServer(): Promise<TestDatabase> {
  const container = await inDocker('Postgres', startPostgresContainer)
  if (container !== null) return container
  const cluster = await startTestCluster()
  return { url: cluster.postgres.url, [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose]() }
}

async function startPostgresContainer(): Promise<TestDatabase> {
  const container = await startContainer({
    service: 'postgres',
    port: 5432,
    env: { POSTGRES_USER: 'hooktrail', POSTGRES_PASSWORD: 'hooktrail' },
    command: () => ['postgres', '-c', 'max_connections=200'],
    ready: 'pg_isready -h 127.0.0.1 -U hooktrail',
  })
  const { host, port } = container.address
  return {
    url: `postgresql://hooktrail:hooktrail@${host}:${port}/hooktrail`,
    [Symbol.asyncDispose]: () => container[Symbol.asyncDispose](),
  }
}

async function createDatabaseOn(
  serverUrl: string,
  options = '',
): Promise<TestDatabase & { readonly name: string }> {
  const name = `test_${randomBytes(8).toString('hex')}`
  await execute(serverUrl, `CREATE DATABASE ${name} ${options}`)
  return {
    name,
    url: serverUrl.replace(/\/[^/?]+(\?|$)/, `/${name}$1`),
    [Symbol.asyncDispose]: () => execute(serverUrl, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  }
}

/** One statement on a connection of its own. */
export async function execute(url: string, sql: string): Promise<void> {
  const client = new Client(url)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}
