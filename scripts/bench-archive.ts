/**
 * `npm run bench:archive -- <runs> <megabytes> <partitions>`: how fast the archiver turns a log into an archive and the
 * verifier reads it, in each format, beside a bare consumer that writes the same bytes to the same kind of store. The
 * log is hooktrail's own Postgres, the store a folder; every stage is a process of its own.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startOwnPostgres } from '../adapters/postgres/own-postgres.ts'
import { systemClock } from '../adapters/system/clock.ts'
import { createLogger } from '../adapters/system/logger.ts'
import {
  parseStageResult,
  type ArchiveStage,
  type StageOptions,
  type StageResult,
} from './bench-archive-stages.ts'
import { printFigures, summarize, type Figure } from '../bench/figures.ts'

const FORMATS = ['jsonl.zst', 'jsonl.gz', 'parquet'] as const
const OUTPUT_BYTES_MAX = 1024 * 1024

const [runs = 3, megabytes = 400, partitions = 64] = process.argv.slice(2).map(Number)
const run = promisify(execFile)

async function stage(name: ArchiveStage, options: StageOptions): Promise<StageResult> {
  process.stderr.write(`${name} ${options.format}\n`)
  const file = join(import.meta.dirname, 'bench-archive-stages.ts')
  const args = [...process.execArgv, file, name, JSON.stringify(options)]
  const { stdout } = await run(process.execPath, args, { maxBuffer: OUTPUT_BYTES_MAX })
  return parseStageResult(stdout)
}

async function measure(): Promise<readonly Figure[]> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'hooktrail-bench-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const logger = createLogger('warn')
  const postgres = { home: join(folder, 'home'), clock: systemClock, logger }
  const { url: databaseUrl } = opened.use(await startOwnPostgres(postgres))
  const options = { folder, databaseUrl, partitions, megabytes, format: FORMATS[0] }
  const filled = await stage('fill', options)
  const megabytesRaw = filled.rawBytes / 1e6
  const figures = (name: string, { records, ...used }: StageResult): readonly Figure[] => {
    if (records !== filled.records) throw new Error(`${name}: ${records} records of ${filled.records}`)
    return [
      { name, unit: 'MB/s raw', value: (megabytesRaw * 1000) / used.elapsedMs },
      { name: `${name}, per core`, unit: 'MB/s raw', value: (megabytesRaw * 1000) / used.cpuMs },
      { name: `${name}, resident memory`, unit: 'MB', value: used.residentBytes / 1e6 },
    ]
  }
  const all = [...figures('reference: bare consumer', await stage('copy', options))]
  for (const format of FORMATS) {
    all.push(...figures(`archive ${format}`, await stage('archive', { ...options, format })))
    all.push(...figures(`verify ${format}`, await stage('verify', { ...options, format })))
  }
  return all
}

const measured: (readonly Figure[])[] = []
for (let n = 0; n < runs; n++) measured.push(await measure())
printFigures(`${megabytes} MB of events in ${partitions} partitions of a Postgres log`, summarize(measured))
