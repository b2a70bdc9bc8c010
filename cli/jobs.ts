/** `hooktrail jobs list|get`, and in dead-letters.ts what is done with those that are dead. */
import { Command } from 'commander'
import { apiCommand, printFrom, printList, queryOf, type ApiFlags } from './api-options.ts'
import { jobsDiscardCommand, jobsGroupsCommand, jobsRetryCommand } from './dead-letters.ts'
import { filtered, filterOf, type JobFilterFlags } from './job-filter.ts'
import type { Column } from './table.ts'

interface ListFlags extends JobFilterFlags {
  readonly status?: string
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
  const list = filtered(
    apiCommand('list', 'deliveries, newest first', 'hooktrail jobs list --status dead'),
    'ended',
  )
    .option('--status <status>', 'available, running, retryable, completed, dead, discarded')
    .option('--limit <n>', 'how many, at most 1000')
    .option('--cursor <cursor>', 'next of the page before')
    .action(async (flags: ListFlags) => {
      const { status, limit, cursor } = flags
      const query = queryOf({ ...filterOf(flags), status, limit, cursor })
      await printList(flags, `/api/jobs${query}`, COLUMNS)
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
