/**
 * A stage for the archiver: a real log (in Postgres unless a Kafka is given), a real store (a directory unless another
 * is given), a key, and a clock that is moved by hand.
 * `check` reads the archive with its own code and compares it with the log, then asks the verifier.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import { createPostgresEventLog } from '../../adapters/postgres/event-log.ts'
import { createPostgresJobStore } from '../../adapters/postgres/job-store/create.ts'
import { migrate } from '../../adapters/postgres/migrate.ts'
import type { Database } from '../../adapters/postgres/database.ts'
import { openDatabase } from '../../adapters/postgres/pool.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { ArchiverDeps } from '../../archiver/archiver-context.ts'
import { withProtection } from '../../archiver/create-archiver.ts'
import { openGenesis } from '../../archiver/genesis.ts'
import { HeartbeatChain } from '../../archiver/heartbeat-chain.ts'
import { HeartbeatWriter } from '../../archiver/heartbeat-writer.ts'
import { ProbedLock } from '../../archiver/probed-lock.ts'
import type { ProtectedContext } from '../../archiver/upkeep.ts'
import { PartitionWriter, type WriterStep } from '../../archiver/partition-writer.ts'
import { makeSigner, parseVerifierKey } from '../../core/archive/signed-note.ts'
import { verifyArchive, type VerifyRequest } from '../../core/archive/verify/verify-archive.ts'
import type { VerifyReport } from '../../core/archive/verify/verify-report.ts'
import type { ArchiveConfig } from '../../core/config/config.ts'
import type { ArchiveStore } from '../../core/ports/archive-store.ts'
import type { EventLog, ReplaceableLog, Topic, TopicPartition } from '../../core/ports/event-log.ts'
import type { JobStore } from '../../core/ports/job-store.ts'
import { archivedRows, type ArchivedRow } from './archive-reader.ts'
import { FaultyArchive } from './faults-archive.ts'
import { HandClock } from './hand-clock.ts'
import type { KafkaLogStage } from './kafka-log.ts'
import { createMigratedDatabase, silentLogger } from './postgres.ts'

export const PREFIX = 'hooktrail'

export const SETTINGS: ArchiveConfig = {
  s3: null,
  directory: null,
  format: 'jsonl.zst',
  worm: 'off',
  retention: null,
  probeCredentials: null,
  roll: { bytesMax: 64 * 1024 * 1024, recordsMax: 100_000, ageMsMax: 600_000 },
  heartbeatMs: 60_000,
  idleHeartbeatMs: 900_000,
  runningRootMs: 30_000,
  signingKey: null,
  nextSigningKey: null,
  delegations: [],
  publicKey: null,
  anchors: [],
}

/** One archiver's view: its own clock, its own faults, the shared log and archive. */
export interface ArchiverSeat {
  readonly clock: HandClock
  readonly archive: FaultyArchive
  readonly context: ProtectedContext
  readonly chain: HeartbeatChain
  readonly heartbeats: HeartbeatWriter
  writer(at: TopicPartition): PartitionWriter
}

export interface SeatOptions {
  readonly clock?: HandClock
  readonly settings?: Partial<ArchiveConfig>
  readonly deps?: Partial<ArchiverDeps>
}

export interface ArchiverStage extends AsyncDisposable {
  readonly folder: string
  readonly directory: string
  readonly log: EventLog
  /** The log where it travels with the database; not on Kafka. */
  readonly replaceableLog: ReplaceableLog | null
  readonly store: ArchiveStore
  readonly jobs: JobStore
  seat(instance: string, options?: SeatOptions): Promise<ArchiverSeat>
  deps(instance: string, options?: SeatOptions): ArchiverDeps
  /** With what all topics of the log begin. */
  readonly topicPrefix: string
  topic(name: string, partitions?: number): Promise<Topic>
  deleteTopic(name: string): Promise<void>
  /** Appends `count` records with values `<name>-<i>`. */
  append(at: TopicPartition, count: number, name?: string): Promise<void>
  /** Puts the partition back as a restored copy of the database would: the log ends at `next` again. Not on Kafka. */
  rewind(at: TopicPartition, next: bigint): Promise<void>
  verify(request?: Partial<VerifyRequest>): Promise<VerifyReport>
  /** Of the archive as it lies in the store, read without any product code. */
  rows(): Promise<readonly ArchivedRow[]>
  /** Every record that the log still holds is in the archive exactly once, and the verifier agrees. */
  check(partitions: readonly TopicPartition[], exitCode?: number): Promise<void>
}

/**
 * @param given a store other than a directory; `check` copies it into one
 * @param kafka where the log is, if not in Postgres
 */
export async function openStage(
  given?: ArchiveStore,
  kafka: KafkaLogStage | null = null,
): Promise<ArchiverStage> {
  const database = await createMigratedDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-archiver-'))
  const directory = join(folder, 'archive')
  const pool = openDatabase({
    url: database.url,
    connectionsMax: 6,
    applicationName: 'archiver-test',
    logger: silentLogger,
  })
  await migrate(pool)
  const topicPrefix = kafka?.topicPrefix ?? PREFIX
  const { log, replaceableLog, deleteTopic } = await openLog(pool, kafka)
  const store = given ?? (await openDirectoryStore(directory, { clock: systemClock, logger: silentLogger }))
  const signer = makeSigner(generateKeyPairSync('ed25519').privateKey, 'hooktrail-archive')
  const verifiers = [parseVerifierKey(signer.vkey)]

  const deps = (instance: string, options: SeatOptions = {}): ArchiverDeps => ({
    log,
    archive: store,
    store: null,
    signer,
    verifiers,
    clock: options.clock ?? new HandClock(),
    logger: silentLogger,
    metrics: { count: () => undefined, set: () => undefined, observe: () => undefined },
    spoolDirectory: folder,
    instance,
    formatsText: '# formats\n',
    ...options.deps,
  })
  const verify = (request: Partial<VerifyRequest> = {}): Promise<VerifyReport> =>
    verifyArchive({
      store,
      keys: verifiers,
      nowMs: Date.now(),
      level: 2,
      signal: new AbortController().signal,
      ...request,
    })

  const rows = async (): Promise<readonly ArchivedRow[]> => {
    if (given !== undefined) await copyArchive(given, directory)
    return archivedRows(directory)
  }

  return {
    folder,
    directory,
    log,
    replaceableLog,
    deleteTopic,
    topicPrefix,
    store,
    jobs: createPostgresJobStore(pool, { logger: silentLogger }),
    deps,
    verify,
    rows,
    seat: (instance, options) => takeSeat(deps, instance, options),
    topic: async (name, partitions = 1) => {
      const topics = await log.ensureTopics([{ name, partitions }])
      const topic = topics.find((each) => each.name === name)
      assert(topic !== undefined)
      return topic
    },
    rewind: async ({ topic, partition }, next) => {
      const where = '(SELECT topic_no FROM log_topics WHERE name = $1) AND partition_no = $2'
      const values = [topic, partition, next]
      await pool.query(`DELETE FROM log_records WHERE topic_no = ${where} AND record_offset >= $3`, values)
      await pool.query(`UPDATE log_partitions SET next_offset = $3 WHERE topic_no = ${where}`, values)
    },
    append: (at, count, name = 'event') => append(log, at, count, name),
    check: async (partitions, exitCode = 0) => {
      const all = await rows()
      for (const at of partitions) {
        const archived = all
          .filter(({ topicId, partition }) => topicId === at.topicId && partition === at.partition)
          .map(({ offset, value }) => `${String(offset)} ${value ?? ''}`)
        assert.deepEqual(
          archived,
          await logged(log, at),
          'the archive holds what the log holds, each offset once',
        )
      }
      const report = await verify()
      assert.equal(report.exitCode, exitCode, JSON.stringify(report.findings))
    },
    [Symbol.asyncDispose]: async () => {
      await log[Symbol.asyncDispose]()
      await pool[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function openLog(
  pool: Database,
  kafka: KafkaLogStage | null,
): Promise<
  { readonly log: EventLog & AsyncDisposable } & Pick<ArchiverStage, 'deleteTopic' | 'replaceableLog'>
> {
  if (kafka !== null)
    return { log: await kafka.open(), replaceableLog: null, deleteTopic: (name) => kafka.deleteTopic(name) }
  const common = { clock: systemClock, logger: silentLogger }
  const log = await createPostgresEventLog(pool, { topicPrefix: PREFIX, retentionMs: 3_600_000, ...common })
  return { log, replaceableLog: log, deleteTopic: (name) => log.deleteTopic(name) }
}

/** Over what an earlier copy left: objects never change. */
async function copyArchive(store: ArchiveStore, directory: string): Promise<void> {
  for await (const { key, size } of store.list('')) {
    const file = join(directory, key)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, (await store.read(key, size)) ?? '')
  }
}

/** Steps until the writer has nothing to do, then seals and steps until that is committed. */
export async function archiveAll(writer: PartitionWriter): Promise<WriterStep> {
  await stepUntilIdle(writer)
  await writer.seal()
  return stepUntilIdle(writer)
}

export async function stepUntilIdle(writer: PartitionWriter): Promise<WriterStep> {
  for (let n = 0; n < 1000; n++) {
    const step = await writer.step()
    if (step !== 'progress') return step
  }
  throw new Error('the writer never comes to rest')
}

export function partitionOf(topic: Topic, partition = 0): TopicPartition {
  return { topic: topic.name, topicId: topic.id, partition }
}

async function takeSeat(
  depsOf: ArchiverStage['deps'],
  instance: string,
  options: SeatOptions = {},
): Promise<ArchiverSeat> {
  const clock = options.clock ?? new HandClock()
  const deps = depsOf(instance, { ...options, clock })
  const archive = new FaultyArchive(deps.archive)
  const opening = { ...deps, archive, settings: { ...SETTINGS, ...options.settings } }
  const probed = deps.worm === undefined ? null : new ProbedLock(opening, deps.worm)
  await probed?.begin()
  const { genesis, sha256, keys } = await openGenesis(opening)
  const context = withProtection(opening, { genesis, genesisSha256: sha256, keys, probed })
  await context.protection.agree()
  const chain = new HeartbeatChain(context, sha256)
  return {
    clock,
    archive,
    context,
    chain,
    heartbeats: new HeartbeatWriter(context, chain),
    writer: (at) => new PartitionWriter(context, at, (of) => chain.row(of)),
  }
}

async function append(log: EventLog, at: TopicPartition, count: number, name: string): Promise<void> {
  const topic = (await log.topics()).find(({ id }) => id === at.topicId)
  assert(topic !== undefined)
  await log.append(
    Array.from({ length: count }, (_, i) => ({
      topic,
      partition: at.partition,
      key: Buffer.from(`key-${i}`),
      value: Buffer.from(`${name}-${i}`),
      headers: [{ name: 'ce_id', value: Buffer.from(`${name}-${i}`) }],
    })),
  )
}

async function logged(log: EventLog, at: TopicPartition): Promise<readonly string[]> {
  const lines: string[] = []
  for (let { logStart: from } = await log.bounds(at); ;) {
    const { records, next } = await log.read({
      ...at,
      from,
      recordsMax: 1000,
      bytesMax: 1 << 24,
      waitMsMax: 0,
    })
    for (const { offset, value } of records) lines.push(`${String(offset)} ${value?.toString() ?? ''}`)
    if (next === from) return lines
    from = next
  }
}
