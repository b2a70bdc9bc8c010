/** `hooktrail archive cat`: the archived records of one topic as JSONL, in order of partition and offset. */
import { Command, InvalidArgumentError } from 'commander'
import { readRows } from '../core/archive/data-rows.ts'
import { listManifests } from '../core/archive/list-manifests.ts'
import type { Manifest } from '../core/archive/manifest.ts'
import { decodeRow } from '../core/archive/row.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import type { ArchiveStore } from '../core/ports/archive-store.ts'
import { DataOutput } from './archive-output.ts'
import { LOCATION_HELP, openArchive } from './open-archive.ts'
import { messageOf } from '../core/error/message-of.ts'

interface CatOptions {
  readonly topic: string
  readonly partition?: number
  readonly fromOffset?: bigint
  readonly toOffset?: bigint
}

export function archiveCatCommand(): Command {
  return new Command('cat')
    .description('print archived records as JSON lines')
    .argument('<location>', LOCATION_HELP)
    .requiredOption('--topic <topic>', 'topic to print')
    .option('--partition <p>', 'only this partition', parsePartition)
    .option('--from-offset <a>', 'first offset', parseOffset)
    .option('--to-offset <b>', 'last offset, inclusive', parseOffset)
    .addHelpText(
      'after',
      `
Examples:
  hooktrail archive cat ./archive --topic hooktrail.events.github
  hooktrail archive cat ./archive --topic hooktrail.events.github --partition 0 --from-offset 10 --to-offset 19

Exit codes: 0 printed, 64 usage or no such topic, 66 the archive cannot be read`,
    )
    .action(async (location: string, options: CatOptions, command: Command) => {
      const { fromOffset, toOffset } = options
      if (fromOffset !== undefined && toOffset !== undefined && toOffset < fromOffset)
        command.error('error: --to-offset lies before --from-offset', { exitCode: 64 })
      await using opened = new AsyncDisposableStack()
      const store = await openArchive(location, opened)
      await printTopic(store, options, new DataOutput())
    })
}

async function printTopic(store: ArchiveStore, options: CatOptions, output: DataOutput): Promise<void> {
  let isPrinted = false
  for await (const { manifest } of listManifests(store, options.topic)) {
    if (output.signal.aborted) return
    if (isWanted(manifest, options) && (await printSegment(store, { manifest, options, output })))
      isPrinted = true
  }
  // No fault: what is asked for again and again from the offset after the last may not be archived yet.
  if (!isPrinted) process.stderr.write('no record that is archived lies in what was asked for\n')
}

function isWanted(manifest: Manifest, { partition, fromOffset, toOffset }: CatOptions): boolean {
  if (partition !== undefined && manifest.partition !== partition) return false
  if (fromOffset !== undefined && BigInt(manifest.last) < fromOffset) return false
  return toOffset === undefined || BigInt(manifest.first) <= toOffset
}

interface SegmentPrint {
  readonly manifest: Manifest
  readonly options: CatOptions
  readonly output: DataOutput
}

/** @returns whether there was a record to print */
async function printSegment(
  store: ArchiveStore,
  { manifest, options, output }: SegmentPrint,
): Promise<boolean> {
  const { data } = manifest
  if (data === null) return false
  const bytes = await store.open(data.key)
  if (bytes === null)
    throw new HooktrailError('ARCHIVE_ROW_INVALID', { key: data.key, reason: 'it is missing' })
  const { fromOffset, toOffset } = options
  const whole =
    (fromOffset === undefined || BigInt(manifest.first) >= fromOffset) &&
    (toOffset === undefined || BigInt(manifest.last) <= toOffset)
  let isPrinted = false
  const onLine = (line: string): Promise<void> | undefined => {
    if (!whole && !isInRange(decodeRow(line).record.offset, options)) return undefined
    isPrinted = true
    return output.write(`${line}\n`)
  }
  await readRows({ bytes, format: data.format, onLine, signal: output.signal }).catch((error: unknown) => {
    if (output.signal.aborted) return
    throw new HooktrailError('ARCHIVE_ROW_INVALID', { key: data.key, reason: messageOf(error) }, error)
  })
  return isPrinted
}

function isInRange(offset: bigint, { fromOffset, toOffset }: CatOptions): boolean {
  return (fromOffset === undefined || offset >= fromOffset) && (toOffset === undefined || offset <= toOffset)
}

function parseOffset(text: string): bigint {
  if (!/^[0-9]{1,19}$/.test(text)) throw new InvalidArgumentError('an offset is a whole number')
  return BigInt(text)
}

function parsePartition(text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new InvalidArgumentError('a partition is a whole number')
  return Number(text)
}
