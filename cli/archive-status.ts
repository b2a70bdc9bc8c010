/** `hooktrail archive status`: what an archive holds and how far it has come. Needs only the folder. */
import { Command } from 'commander'
import { systemClock } from '../adapters/system/clock.ts'
import { readArchiveStatus, type ArchiveStatus } from '../core/archive/archive-status.ts'
import { LOCATION_HELP, openArchive } from './open-archive.ts'

export function archiveStatusCommand(): Command {
  return new Command('status')
    .description('newest heartbeat, heads of the partitions, number and size of objects')
    .argument('<location>', LOCATION_HELP)
    .option('--json', 'one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  hooktrail archive status ./archive --json

Exit codes: 0 shown, 64 usage, 66 the archive cannot be read`,
    )
    .action(async (location: string, { json }: { readonly json?: boolean }) => {
      await using opened = new AsyncDisposableStack()
      const store = await openArchive(location, opened)
      const status = await readArchiveStatus(store, systemClock.now())
      console.log(json === true ? JSON.stringify(status) : textOf(status))
    })
}

function textOf(status: ArchiveStatus): string {
  const { heartbeat } = status
  const newest = heartbeat === null ? 'none yet' : `${heartbeat.n} of ${heartbeat.created_at}`
  const heads = status.partitions.map(
    ({ topic, partition, next, records }) =>
      `  ${topic} p${String(partition)}: ${records} records, the next offset is ${next}`,
  )
  return [
    `newest heartbeat: ${newest} (deletion lock: ${heartbeat?.worm ?? 'unknown'})`,
    `records: ${status.records}`,
    `data: ${String(status.data_objects)} objects, ${status.data_bytes} bytes, mean ${String(status.data_bytes_mean)}`,
    `objects: ${String(status.objects)}, ${String(status.objects_per_day)} a day`,
    ...heads,
  ].join('\n')
}
