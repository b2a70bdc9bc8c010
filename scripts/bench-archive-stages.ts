/**
 * The stages of the archive's benchmark, each run in a process of its own (`node bench-archive-stages.ts NAME JSON`), so that
 * CPU and memory are its own: fill a log, only copy its bytes into a store, archive it, verify the archive. Each prints
 * what it did as one line of JSON.
 */
import { generateKeyPairSync, hash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { openDirectoryStore } from '../adapters/directory/directory-store.ts'
import type { DatabaseOptions } from '../adapters/postgres/database.ts'
import { createPostgresEventLog } from '../adapters/postgres/event-log.ts'
import { createPostgresJobStore } from '../adapters/postgres/job-store/create.ts'
import { migrate } from '../adapters/postgres/migrate.ts'
import { openDatabase } from '../adapters/postgres/pool.ts'
import { systemClock as clock } from '../adapters/system/clock.ts'
import { createLogger } from '../adapters/system/logger.ts'
import { createArchiver } from '../archiver/create-archiver.ts'
import { makeSigner, parseVerifierKey } from '../core/archive/signed-note.ts'
import { verifyArchive } from '../core/archive/verify/verify-archive.ts'
import type { Settings } from '../core/config/config.ts'
import { readConfig } from '../core/config/read-config.ts'
import { NEVER } from '../core/deadline.ts'
import type { AppendRecord, EventLog, Topic } from '../core/ports/event-log.ts'
import { rawBytesOf } from '../core/record/raw-bytes.ts'
import { BENCH_BODY } from '../bench/load.ts'

const OPTIONS = z.strictObject({
  folder: z.string(),
  databaseUrl: z.string(),
  partitions: z.int(),
  megabytes: z.number(),
  format: z.enum(['jsonl.zst', 'jsonl.gz', 'parquet']),
})
const RESULT = z.strictObject({
  records: z.int(),
  rawBytes: z.number(),
  elapsedMs: z.number(),
  cpuMs: z.number(),
  residentBytes: z.number(),
})

export const ARCHIVE_STAGES = ['fill', 'copy', 'archive', 'verify'] as const
export type ArchiveStage = (typeof ARCHIVE_STAGES)[number]
export type StageOptions = z.infer<typeof OPTIONS>
export type StageResult = z.infer<typeof RESULT>

const TOPIC = 'bench.events.archive'
const BATCH_RECORDS = 200
const READ = { recordsMax: 1000, bytesMax: 2 * 1024 * 1024, waitMsMax: 0 }
/** As the archiver rolls by default. */
const COPY_BYTES_MAX = 64 * 1024 * 1024
const NO_METRICS = { count: () => undefined, set: () => undefined, observe: () => undefined }

export function parseStageResult(text: string): StageResult {
  return RESULT.parse(JSON.parse(text))
}

interface Done {
  readonly records: number
  readonly rawBytes: number
}

async function runStage(stage: ArchiveStage, options: StageOptions): Promise<StageResult> {
  const startedAt = performance.now()
  const before = process.cpuUsage()
  const done = await (stage === 'verify' ? verify(options) : onLog(stage, options))
  const { user, system } = process.cpuUsage(before)
  return {
    ...done,
    elapsedMs: performance.now() - startedAt,
    cpuMs: (user + system) / 1000,
    residentBytes: process.resourceUsage().maxRSS * 1024,
  }
}

async function onLog(stage: Exclude<ArchiveStage, 'verify'>, options: StageOptions): Promise<Done> {
  const logger = createLogger('warn')
  const database = { url: options.databaseUrl, connectionsMax: 4, applicationName: 'bench', logger }
  await using pool = openDatabase(database)
  await migrate(pool)
  const retentionMs = 86_400_000
  await using log = await createPostgresEventLog(pool, { topicPrefix: 'bench', retentionMs, clock, logger })
  const [topic] = await log.ensureTopics([{ name: TOPIC, partitions: options.partitions }])
  if (topic === undefined) throw new Error('the log made no topic')
  switch (stage) {
    case 'fill':
      return await fill(log, topic, options)
    case 'copy':
      return await copy(log, topic, options)
    case 'archive':
      return await archive({ log, topic, database }, options)
    default:
      return stage satisfies never
  }
}

/** Bodies like those of the other benchmarks, of which no two are alike. */
async function fill(log: EventLog, topic: Topic, { megabytes }: StageOptions): Promise<Done> {
  let [records, rawBytes] = [0, 0]
  while (rawBytes < megabytes * 1e6) {
    const batch = Array.from({ length: BATCH_RECORDS }, (_, index): AppendRecord & { headers: [] } => {
      const id = randomBytes(20).toString('hex')
      const value = Buffer.from(BENCH_BODY.replaceAll(/0{39}\d/g, id))
      const partition = (records + index) % topic.partitions
      return { topic, partition, key: Buffer.from(id), value, headers: [] }
    })
    await log.append(batch)
    records += batch.length
    rawBytes += batch.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0)
  }
  return { records, rawBytes }
}

/** The reference: what the log holds, as it is, in objects of the archive's size. */
async function copy(log: EventLog, topic: Topic, { folder }: StageOptions): Promise<Done> {
  const store = await openDirectoryStore(join(folder, 'copy'), { clock, logger: createLogger('warn') })
  let [records, rawBytes] = [0, 0]
  for (let partition = 0; partition < topic.partitions; partition++) {
    const at = { topic: topic.name, topicId: topic.id, partition }
    for (let from = 0n, isDone = false; !isDone;) {
      const parts: Buffer[] = []
      const first = from
      for (let bytes = 0; bytes < COPY_BYTES_MAX && !isDone;) {
        const read = await log.read({ ...at, from, ...READ })
        for (const { key, value } of read.records) if (value !== null) parts.push(key ?? value, value)
        const raw = read.records.reduce((sum, record) => sum + rawBytesOf(record), 0)
        bytes += raw
        rawBytes += raw
        records += read.records.length
        isDone = read.next === from
        from = read.next
      }
      if (parts.length === 0) break
      const body = Buffer.concat(parts)
      const object = { key: `copy/${partition}-${first}`, contentType: 'application/octet-stream' }
      await store.create({ ...object, body, sha256: hash('sha256', body, 'buffer') })
    }
  }
  return { records, rawBytes }
}

async function archive(
  { log, topic, database }: { log: EventLog; topic: Topic; database: DatabaseOptions },
  { folder, format }: StageOptions,
): Promise<Done> {
  const { logger } = database
  // A job store knows one archive.
  await using pool = openDatabase({ ...database, schema: `bench_${format.replace('.', '_')}` })
  await migrate(pool)
  const store = createPostgresJobStore(pool, { logger })
  const signer = makeSigner(generateKeyPairSync('ed25519').privateKey, 'bench')
  writeFileSync(keyFile(folder, format), signer.vkey)
  const archiver = await createArchiver(settings(format), {
    ...{ log, clock, logger, metrics: NO_METRICS, store, signer, formatsText: '# formats\n' },
    archive: await openDirectoryStore(join(folder, format), { clock, logger }),
    verifiers: [parseVerifierKey(signer.vkey)],
    spoolDirectory: join(folder, 'spool'),
    instance: 'bench',
  })
  while (await archiver.archiveStep(NEVER));
  await archiver.finish()
  let records = 0
  for (let partition = 0; partition < topic.partitions; partition++)
    records += Number((await log.bounds({ topic: topic.name, topicId: topic.id, partition })).highWatermark)
  return { records, rawBytes: 0 }
}

async function verify({ folder, format }: StageOptions): Promise<Done> {
  const store = await openDirectoryStore(join(folder, format), { clock, logger: createLogger('warn') })
  const keys = [parseVerifierKey(readFileSync(keyFile(folder, format), 'utf8'))]
  const report = await verifyArchive({ store, keys, nowMs: clock.now(), level: 2, signal: NEVER })
  if (report.exitCode !== 0) throw new Error(`the archive is not whole: ${JSON.stringify(report.findings)}`)
  return { records: Number(report.records), rawBytes: 0 }
}

function keyFile(folder: string, format: string): string {
  return join(folder, `${format}.pub`)
}

function settings(format: StageOptions['format']): Settings {
  const text = `version: 1\narchive: { worm: off, format: ${format} }\n`
  const read = readConfig({ file: 'bench', text, overlay: null }, { env: {}, readFile: () => '' })
  if (!read.ok) throw new Error(`the settings of the benchmark are wrong: ${JSON.stringify(read.faults)}`)
  return read.config
}

if (import.meta.main) {
  const [stage, options] = process.argv.slice(2)
  const result = await runStage(z.enum(ARCHIVE_STAGES).parse(stage), OPTIONS.parse(JSON.parse(options ?? '')))
  console.log(JSON.stringify(result))
}
