/**
 * The three sizes that hooktrail comes in, each on real servers of its own: what goes into the configuration, where the
 * archive is found, and its servers, which a test may kill, stop and start again. The same end-to-end and fault tests run
 * on each, on local processes: the archive is read from the folder of its server.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openArchiveBucket } from './archive-bucket.ts'
import { archivedRows, type ArchivedRow } from './archive-reader.ts'
import { startLocalKafka, type LocalKafka } from './services/kafka.ts'
import { startPostgresServer, type PostgresServer } from './services/postgres-server.ts'
import { startRedis, type RedisServer } from './services/redis.ts'
import { startOrReason, type KillableS3 } from './services/s3-service.ts'

export const SIZE_NAMES = ['one box', 'Postgres and S3', 'full'] as const
export type SizeName = (typeof SIZE_NAMES)[number]

export interface Size extends AsyncDisposable {
  /** YAML: digest_key, log, database, queue and archive, as far as they are not the default. */
  readonly config: string
  /** For every process: credentials of the archive. */
  readonly env: Readonly<Record<string, string>>
  /** As `archive verify` takes it. */
  archive(home: string): string
  /** Read without any product code. */
  rows(home: string): readonly ArchivedRow[]
  /** SIGKILL to one of the servers that keep events or jobs; it comes back. `random` in [0, 1) chooses. */
  killServer(home: string, random: number): Promise<void>
}

/** Of the full size. Each stays away after SIGKILL until `restart`, hangs after SIGSTOP until SIGCONT. */
export interface Servers {
  readonly postgres: PostgresServer
  readonly kafka: LocalKafka
  readonly redis: RedisServer
  readonly s3: KillableS3
}

export interface FullSize extends Size {
  readonly servers: Servers
}

export interface SharedSize extends Size {
  readonly servers: Pick<Servers, 'postgres' | 's3'>
}

type Killable = Pick<PostgresServer, 'restart'> & { kill(signal: 'SIGKILL'): Promise<void> }

/** Tests wait for the archive. */
const QUICK_ARCHIVE = 'roll: { age: 1s }, heartbeat: 1s'

/**
 * The reason, where its servers cannot run on this machine: for `skip` of node:test.
 * @param archive more of `archive`, as YAML of a flow mapping
 */
export function openSize(name: 'full', archive?: string): Promise<FullSize | string>
export function openSize(name: 'Postgres and S3', archive?: string): Promise<SharedSize | string>
export function openSize(name: SizeName, archive?: string): Promise<Size | string>
export async function openSize(name: SizeName, archive = QUICK_ARCHIVE): Promise<Size | string> {
  return startOrReason<Size>(() => {
    switch (name) {
      case 'one box':
        return Promise.resolve(oneBox(archive))
      case 'Postgres and S3':
        return openShared(archive)
      case 'full':
        return openFull(archive)
    }
  })
}

function oneBox(settings: string): Size {
  const archive = (home: string): string => join(home, 'archive')
  return {
    config: `archive: { ${settings} }`,
    env: {},
    archive,
    rows: (home) => archivedRows(archive(home)),
    killServer: (home) => killPostmaster(home),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

async function openShared(archive: string): Promise<SharedSize> {
  await using opened = new AsyncDisposableStack()
  const { postgres, s3, ...size } = await startShared(opened, archive)
  const kept = opened.move()
  return {
    ...size,
    servers: { postgres, s3 },
    killServer: () => killAndRestart(postgres),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

async function openFull(archive: string): Promise<FullSize> {
  await using opened = new AsyncDisposableStack()
  const { postgres, s3, ...size } = await startShared(opened, archive)
  const kafka = opened.use(await startLocalKafka())
  const redis = opened.use(await startRedis())
  const kept = opened.move()
  const killed: readonly Killable[] = [postgres, kafka, redis]
  return {
    ...size,
    config: `${size.config}
log: { driver: kafka, brokers: ['${kafka.brokers.join("', '")}'], replication: 1 }
queue: { driver: redis, url: '${redis.url}' }`,
    servers: { postgres, kafka, redis, s3 },
    killServer: async (_home, random) => {
      const server = killed[Math.floor(random * killed.length)]
      if (server !== undefined) await killAndRestart(server)
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

type Shared = Omit<Size, 'killServer' | typeof Symbol.asyncDispose> & {
  readonly postgres: PostgresServer
  readonly s3: KillableS3
}

/** What both larger sizes have: a Postgres and a bucket. */
async function startShared(opened: AsyncDisposableStack, archive: string): Promise<Shared> {
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-size-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const postgres = opened.use(await startPostgresServer())
  const bucket = opened.use(await openArchiveBucket(folder, archive))
  return {
    ...{ postgres, s3: bucket.s3 },
    config: `digest_key: '${'0123456789abcdef'.repeat(4)}'
database: { url: '${postgres.url}' }
${bucket.config}`,
    env: bucket.readerEnv,
    archive: () => bucket.location,
    rows: () => bucket.rows(),
  }
}

async function killAndRestart(server: Killable): Promise<void> {
  await server.kill('SIGKILL')
  await server.restart()
}

/** Whoever started it starts it again. */
async function killPostmaster(home: string): Promise<void> {
  const pid = Number((await readFile(join(home, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0])
  process.kill(pid, 'SIGKILL')
}
