/**
 * The three sizes that hooktrail comes in, each on real servers of its own: what goes into the configuration, where the
 * archive is found, and which server may be killed. The same end-to-end and fault tests run on each, on local processes:
 * they are killed, and the archive is read from the folder of its server.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { archivedRows, type ArchivedRow } from './archive-reader.ts'
import { startTestCluster } from './postgres.ts'
import { startLocalKafka } from './services/kafka.ts'
import { ServiceUnavailableError } from './services/local-process.ts'
import { startRedis } from './services/redis.ts'
import { createLockedBucket } from './services/s3-service.ts'
import { startVersitygw } from './services/versitygw.ts'

export type SizeName = 'one box' | 'Postgres and S3' | 'full'

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

const ROLL = 'roll: { age: 1s }, heartbeat: 1s'

/** The reason, where its servers cannot run on this machine: for `skip` of node:test. */
export async function openSize(name: SizeName): Promise<Size | string> {
  try {
    switch (name) {
      case 'one box':
        return oneBox()
      case 'Postgres and S3':
        return await withServers({ isFull: false })
      case 'full':
        return await withServers({ isFull: true })
    }
  } catch (error) {
    if (error instanceof ServiceUnavailableError) return `not run here: ${error.message}`
    throw error
  }
}

function oneBox(): Size {
  const archive = (home: string): string => join(home, 'archive')
  return {
    config: `archive: { ${ROLL} }`,
    env: {},
    archive,
    rows: (home) => archivedRows(archive(home)),
    killServer: (home) => killPostmaster(home),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

async function withServers({ isFull }: { isFull: boolean }): Promise<Size> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-size-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const cluster = opened.use(await startTestCluster())
  const s3 = opened.use(await startVersitygw({ folder }))
  const bucket = await createLockedBucket(s3)
  const full = isFull ? await startFull(opened) : null
  const kept = opened.move()
  const kills = [() => killPostmaster(cluster.home), ...(full?.kills ?? [])]
  return {
    config: [
      `digest_key: '${'0123456789abcdef'.repeat(4)}'`,
      `database: { url: '${cluster.postgres.url}' }`,
      `archive: { driver: s3, bucket: ${bucket}, prefix: trail, endpoint: '${s3.endpoint}', ${ROLL}, credentials: { access_key: ${s3.accessKey}, secret_key: ${s3.secretKey} } }`,
      ...(full?.config ?? []),
    ].join('\n'),
    env: {
      AWS_ACCESS_KEY_ID: s3.reader.accessKey,
      AWS_SECRET_ACCESS_KEY: s3.reader.secretKey,
      AWS_ENDPOINT_URL_S3: s3.endpoint,
    },
    archive: () => `s3://${bucket}/trail`,
    rows: () => archivedRows(join(folder, 'buckets', bucket, 'trail')),
    killServer: async (_home, random) => {
      await kills[Math.floor(random * kills.length)]?.()
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  }
}

async function startFull(opened: AsyncDisposableStack) {
  const kafka = opened.use(await startLocalKafka())
  const redis = opened.use(await startRedis())
  const killAndRestart = async (server: Pick<typeof redis, 'kill' | 'restart'>): Promise<void> => {
    await server.kill('SIGKILL')
    await server.restart()
  }
  return {
    config: [
      `log: { driver: kafka, brokers: ['${kafka.brokers.join("', '")}'], replication: 1 }`,
      `queue: { driver: redis, url: '${redis.url}' }`,
    ],
    kills: [() => killAndRestart(kafka), () => killAndRestart(redis)],
  }
}

/** Whoever started it starts it again. */
async function killPostmaster(home: string): Promise<void> {
  const pid = Number((await readFile(join(home, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0])
  process.kill(pid, 'SIGKILL')
}
