/** `hooktrail archive hold|holds|release`: legal holds, asked of the API; an archiver signs them and holds the objects. */
import type { Command } from 'commander'
import { apiCommand, printFrom, printList, queryOf, type ApiFlags } from './api-options.ts'
import type { Column } from './table.ts'

interface HoldFlags extends ApiFlags {
  readonly event?: string
  readonly source?: string
  readonly topic?: string
  readonly partition?: string
  readonly fromOffset?: string
  readonly toOffset?: string
  readonly reason: string
}

const COLUMNS: readonly Column[] = [
  { title: 'ID', field: 'id' },
  { title: 'STATE', field: 'state' },
  { title: 'TOPIC', field: 'topic' },
  { title: 'PARTITION', field: 'partition' },
  { title: 'FROM', field: 'from' },
  { title: 'TO', field: 'to' },
  { title: 'EVENT', field: 'event_id' },
  { title: 'REASON', field: 'reason' },
]

export function archiveHoldCommands(): readonly Command[] {
  return [holdCommand(), holdsCommand(), releaseCommand()]
}

function holdCommand(): Command {
  return apiCommand(
    'hold',
    'keep what is archived whatever its retention says: of an event, a source (also what will come), or a range',
    'hooktrail archive hold --source stripe --reason "case 17/2026"',
  )
    .option('--event <id>', 'the segment of this event')
    .option('--source <name>', 'everything of this source, also what will come')
    .option('--topic <topic>', 'a topic, or a range of it')
    .option('--partition <p>', 'only this partition of it')
    .option('--from-offset <a>', 'first offset')
    .option('--to-offset <b>', 'last offset, inclusive; without it also what will come')
    .requiredOption('--reason <text>', 'signed into the archive')
    .action(async (flags: HoldFlags) => {
      const { event, source, topic, partition, fromOffset, toOffset, reason } = flags
      const body = {
        ...{ event_id: event, source, topic, from_offset: fromOffset, to_offset: toOffset, reason },
        ...(partition === undefined ? {} : { partition: Number(partition) }),
      }
      await printFrom(flags, '/api/archive/holds', { method: 'POST', body })
    })
}

function holdsCommand(): Command {
  return apiCommand('holds', 'legal holds, newest first', 'hooktrail archive holds')
    .option('--limit <n>', 'how many, at most 1000')
    .option('--cursor <cursor>', 'next of the page before')
    .action(async (flags: ApiFlags & Partial<Record<'limit' | 'cursor', string>>) => {
      const { limit, cursor } = flags
      await printList(flags, `/api/archive/holds${queryOf({ limit, cursor })}`, COLUMNS)
    })
}

function releaseCommand(): Command {
  return apiCommand(
    'release',
    'end a legal hold; needs api.release_token beside the token of the API',
    'HOOKTRAIL_RELEASE_TOKEN=… hooktrail archive release 01J… --reason "case closed"',
  )
    .argument('<id>', 'of the hold')
    .requiredOption('--reason <text>', 'signed into the archive')
    .option('--release-token <token>', 'the second token (default: HOOKTRAIL_RELEASE_TOKEN)')
    .action(
      async (id: string, flags: ApiFlags & { readonly reason: string; readonly releaseToken?: string }) => {
        const token = flags.releaseToken ?? process.env['HOOKTRAIL_RELEASE_TOKEN'] ?? ''
        const body = { reason: flags.reason, release_token: token }
        await printFrom(flags, `/api/archive/holds/${encodeURIComponent(id)}/release`, {
          method: 'POST',
          body,
        })
      },
    )
}
