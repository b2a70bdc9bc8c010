/** `hooktrail jobs list|get`, and in dead-letters.ts what is done with those that are dead. */
import { Command } from 'commander'
import { apiCommand, printFrom, printList, queryOf, type ApiFlags } from './api-options.ts'
import { jobsDiscardCommand, jobsGroupsCommand, jobsRetryCommand } from './dead-letters.ts'
import type { Column } from './table.ts'

interface ListFlags extends ApiFlags {
  readonly handler?: string
  readonly status?: string
  readonly source?: string
  readonly type?: string
  readonly error?: string
  readonly since?: string
  readonly until?: string
  readonly limit?: string
  readonly cursor?: string
}

const COLUMNS: readonly Column[] = [
  { title: 'ID', field: 'id' },
  { title: 'TYPE', field: 'event_type' },
  { title: 'STATUS', field: 'status' },
  { title: 'ATTEMPT', field: 'attempt', right: true },
  { title: 'OF', field: 'max_attempts', right: true },
  { title: 'LAST ERROR', field: 'last_error' },
  { title: 'DUE', field: 'scheduled_at' },
  { title: 'ENDED', field: 'completed_at' },
]

export function jobsCommand(): Command {
  const list = apiCommand('list', 'deliveries, newest first', 'hooktrail jobs list --status dead')
    .option('--handler <name>', 'of this handler')
    .option('--status <status>', 'available, running, retryable, completed, dead, discarded')
    .option('--source <name>', 'of this source')
    .option('--type <type>', 'of this event type')
    .option('--error <class>', 'whose last error is of this class')
    .option('--since <time>', 'ended at or after; without a zone it is UTC')
    .option('--until <time>', 'ended before')
    .option('--limit <n>', 'how many, at most 1000')
    .option('--cursor <cursor>', 'next of the page before')
    .action(async (flags: ListFlags) => {
      const { handler, status, source, type, error, since, until, limit, cursor } = flags
      const filter = { handler, status, source, event_type: type, error, since, until, limit, cursor }
      await printList(flags, `/api/jobs${queryOf(filter)}`, COLUMNS)
    })
  const get = apiCommand('get', 'one job with its attempts', 'hooktrail jobs get 01J….billing')
    .argument('<id>', 'job id')
    .action(async (id: string, flags: ApiFlags) => {
      await printFrom(flags, `/api/jobs/${encodeURIComponent(id)}?include_attempts=true`)
    })
  return new Command('jobs')
    .description('deliveries')
    .addCommand(list)
    .addCommand(get)
    .addCommand(jobsGroupsCommand())
    .addCommand(jobsRetryCommand())
    .addCommand(jobsDiscardCommand())
}
