/** `hooktrail archive find` and `archive index`: where an event lies, by its id or dedup key, and the index that says so. */
import { Command } from 'commander'
import { buildIndex } from '../core/archive/index/index-builder.ts'
import { readKeyChain } from '../core/archive/key/read-key-chain.ts'
import { findEvent } from '../core/archive/index/find-event.ts'
import { LOCATION_HELP, openSource } from './open-archive.ts'
import { openIndex, openIndexForWriting, type IndexOptions } from './open-index.ts'

const EXIT_NOT_FOUND = 1

interface FindOptions extends IndexOptions {
  readonly key: string
  readonly dedup?: boolean
}

export function archiveFindCommand(): Command {
  return new Command('find')
    .description('where an archived event lies, by its id or dedup key')
    .argument('<location>', LOCATION_HELP)
    .argument('<event>', 'event id, or dedup key with --dedup')
    .requiredOption('--key <file>', 'public key of the archive (archive.pub)')
    .option('--dedup', 'the argument is a dedup key')
    .option('--index <location>', 'the index (default: LOCATION-index)')
    .addHelpText('after', FIND_HELP)
    .action(async (location: string, value: string, options: FindOptions) => {
      await using opened = new AsyncDisposableStack()
      const source = await openSource(location, options.key, opened)
      const index = await openIndex(location, options, opened)
      const kind = options.dedup === true ? 'unique_key' : 'event_id'
      const { signal } = new AbortController()
      const { rows, skipped } = await findEvent({ source, index, kind, value, signal })
      for (const { at, record } of rows)
        console.log(`${at.topic}:${String(at.partition)}:${String(record.offset)}`)
      if (skipped > 0)
        console.error(
          `${String(skipped)} segments are in no index and were not looked into: hooktrail archive index`,
        )
      if (rows.length === 0) process.exitCode = EXIT_NOT_FOUND
    })
}

export function archiveIndexCommand(): Command {
  return new Command('index')
    .description('make or complete the index that find uses; nobody has to trust it')
    .argument('<location>', LOCATION_HELP)
    .requiredOption('--key <file>', 'public key of the archive (archive.pub)')
    .option('--index <location>', 'where it goes (default: LOCATION-index)')
    .addHelpText('after', INDEX_HELP)
    .action(async (location: string, options: FindOptions) => {
      await using opened = new AsyncDisposableStack()
      const source = await openSource(location, options.key, opened)
      const index = await openIndexForWriting(location, options, opened)
      const archiveId = (await readKeyChain(source.store))?.genesis.archive_id ?? ''
      const { signal } = new AbortController()
      const added = await buildIndex({ source, archiveId, index, signal })
      console.log(`${String(added)} segments added to ${index.location}`)
    })
}

const FIND_HELP = `
Examples:
  hooktrail archive find ./archive 01J9Z0X5R4M9W9M4S9Y6F1T2QK --key archive.pub
  hooktrail archive find ./archive evt_1Nabc --dedup --key archive.pub

Exit codes: 0 found, 1 not found, 64 usage, 66 the archive or its index cannot be read`

const INDEX_HELP = `
Examples:
  hooktrail archive index ./archive --key archive.pub

The newest segments, fewer than 16, stay outside: find looks into them itself. To make the index anew, delete it.
Exit codes: 0 done, 64 usage, 66 something cannot be read or written`
