/**
 * `hooktrail archive verify`: judges a folder with a public key, offline. The verdict and findings go to stdout, all
 * talk to stderr; the exit code is the verdict's (archive formats, "Exit codes").
 */
import type { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { systemClock } from '../adapters/system/clock.ts'
import { readPublicKeys } from '../adapters/system/key-files.ts'
import { parseCertificates } from '../core/archive/anchor/timestamp.ts'
import { parseCheckpoint } from '../core/archive/verify/checkpoint.ts'
import type { VerifyLevel } from '../core/archive/verify/verify-context.ts'
import { verifyArchive, type VerifyRequest } from '../core/archive/verify/verify-archive.ts'
import type { VerifyReport } from '../core/archive/verify/verify-report.ts'
import { NEVER } from '../core/deadline.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { parseWrittenTime } from '../core/written-time.ts'
import { reportText } from './archive-report-text.ts'
import { progressLine } from './archive-progress.ts'
import { LOCATION_HELP, openLocation } from './open-archive.ts'

interface VerifyOptions {
  readonly key?: string
  readonly checkpoint?: string
  readonly writeCheckpoint?: string
  readonly incremental?: boolean
  readonly anchorCa?: string
  readonly now?: number
  readonly level: '0' | '1' | '2'
  readonly json?: boolean
}

export function archiveVerifyCommand(): Command {
  return new Command('verify')
    .description('check every signature, object, row and root of an archive, offline')
    .argument('<location>', `the archive, or any copy of it: ${LOCATION_HELP}`)
    .option('--key <file>', 'public key that you were given (archive.pub)')
    .option('--checkpoint <file>', 'checkpoint of an earlier verification: proves that nothing was cut since')
    .option('--write-checkpoint <file>', 'keep a checkpoint of what was found; store it outside the archive')
    .option('--incremental', 'do not read again what the run that wrote the checkpoint has read')
    .option('--anchor-ca <file>', 'certificates (PEM) of time-stamp authorities, or of who vouches for them')
    .option('--now <time>', 'time of judgement, ISO 8601 (default: now)', parseTime)
    .addOption(
      new Option('--level <level>', '0 chain, 1 and objects, 2 and rows')
        .choices(['0', '1', '2'])
        .default('2'),
    )
    .option('--json', 'the report as one JSON object')
    .addHelpText('after', HELP)
    .action(async (location: string, options: VerifyOptions) => {
      process.exitCode = await runVerify(location, options)
    })
}

async function runVerify(location: string, options: VerifyOptions): Promise<number> {
  const report = await verify(location, options)
  console.log(options.json === true ? JSON.stringify(report) : reportText(report))
  if (options.writeCheckpoint !== undefined) await keepCheckpoint(options.writeCheckpoint, report)
  return report.exitCode
}

/** Only of what is intact and authentic: a shortened archive must not overwrite the proof of what it once held. */
async function keepCheckpoint(file: string, { checkpoint, exitCode }: VerifyReport): Promise<void> {
  if (checkpoint === null || exitCode === 1 || exitCode === 3 || exitCode === 64) {
    console.error(`checkpoint not written: exit ${String(exitCode)}`)
    return
  }
  try {
    await writeFile(file, `${JSON.stringify(checkpoint)}\n`)
  } catch (error) {
    throw new HooktrailError('ARCHIVE_CHECKPOINT_INVALID', { file }, error)
  }
}

/** What `--write-checkpoint` wrote, or a C2SP checkpoint, which anchors are made of. @throws ARCHIVE_CHECKPOINT_INVALID */
async function readCheckpoint(file: string): Promise<Pick<VerifyRequest, 'checkpoint' | 'keptTree'>> {
  try {
    const text = await readFile(file, 'utf8')
    if (text.trimStart().startsWith('{')) return { checkpoint: parseCheckpoint(text) }
    return { keptTree: text }
  } catch (error) {
    throw new HooktrailError('ARCHIVE_CHECKPOINT_INVALID', { file }, error)
  }
}

/** @throws ARCHIVE_ANCHOR_INVALID */
async function readCertificates(file: string): Promise<readonly X509Certificate[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new HooktrailError('ARCHIVE_ANCHOR_INVALID', { file }, error)
  })
  const certificates = parseCertificates(text)
  if (certificates.length === 0)
    throw new HooktrailError('ARCHIVE_ANCHOR_INVALID', { file, reason: 'no certificate in it' })
  return certificates
}

async function verify(location: string, options: VerifyOptions): Promise<VerifyReport> {
  await using opened = new AsyncDisposableStack()
  const store = await openLocation(location, opened)
  const keys = options.key === undefined ? null : await readPublicKeys(options.key)
  const kept = options.checkpoint === undefined ? {} : await readCheckpoint(options.checkpoint)
  const progress = progressLine(systemClock, process.stderr)
  const report = await verifyArchive({
    store,
    keys,
    nowMs: options.now ?? systemClock.now(),
    ...kept,
    isIncremental: options.incremental === true,
    authorities: options.anchorCa === undefined ? [] : await readCertificates(options.anchorCa),
    level: levelOf(options.level),
    onProgress: progress.show,
    signal: NEVER,
  })
  progress.end()
  return report
}

function levelOf(text: VerifyOptions['level']): VerifyLevel {
  switch (text) {
    case '0':
      return 0
    case '1':
      return 1
    case '2':
      return 2
  }
}

function parseTime(text: string): number {
  const ms = parseWrittenTime(text)
  if (ms === null) throw new InvalidArgumentError('a time is written like 2026-01-31T12:00:00Z')
  return ms
}

const HELP = `
Examples:
  hooktrail archive verify ./archive --key archive.pub
  hooktrail archive verify ./archive --key archive.pub --write-checkpoint today.json
  hooktrail archive verify ./archive --key archive.pub --checkpoint today.json
  hooktrail archive verify ./archive --key archive.pub --checkpoint kept.json --incremental --write-checkpoint kept.json
  hooktrail archive verify s3://trail/eu --key archive.pub

Exit codes: 0 complete and intact, 1 altered or missing, 2 a gap or loss is declared, 3 stale or cut at the end,
4 deletion lock not in force, 64 not authenticated (no key given, or the key of another archive), 66 no archive here, or
it or a file that was given cannot be read`
