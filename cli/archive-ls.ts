/** `hooktrail archive ls`: one line for each signed segment, in order of topic, partition and offset. */
import { Command } from 'commander'
import { listManifests, type ListedManifest } from '../core/archive/list-manifests.ts'
import { DataOutput } from './archive-output.ts'
import { LOCATION_HELP, openArchive } from './open-archive.ts'

interface LsOptions {
  readonly topic?: string
  readonly json?: boolean
}

export function archiveLsCommand(): Command {
  return new Command('ls')
    .description('list the segments of an archive')
    .argument('<location>', LOCATION_HELP)
    .option('--topic <topic>', 'only this topic')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      `
Examples:
  hooktrail archive ls ./archive --topic hooktrail.events.github

Exit codes: 0 listed, 64 usage or no such topic, 66 the archive cannot be read`,
    )
    .action(async (location: string, { topic, json }: LsOptions) => {
      await using opened = new AsyncDisposableStack()
      const store = await openArchive(location, opened)
      const output = new DataOutput()
      for await (const listed of listManifests(store, topic ?? null)) {
        if (output.signal.aborted) return
        await output.write(json === true ? jsonLine(listed) : textLine(listed))
      }
    })
}

function jsonLine({ key, manifest }: ListedManifest): string {
  const { topic, topic_id, partition, first, last, records, gaps, data, created_at } = manifest
  return `${JSON.stringify({ topic, topic_id, partition, first, last, records, gaps, data, manifest: key, created_at })}\n`
}

function textLine({ manifest }: ListedManifest): string {
  const { topic, partition, first, last, records, gaps, data, created_at } = manifest
  const gap = gaps.length === 0 ? '' : `  ${String(gaps.length)} gaps`
  const object = data === null ? 'no data' : `${String(data.size)} bytes  ${data.key}`
  return `${created_at}  ${topic} p${String(partition)}  ${first}-${last}  ${String(records)} records  ${object}${gap}\n`
}
