/** `hooktrail jobs groups|retry|discard`: dead jobs by what they have in common, and what becomes of one or many. */
import type { Command } from 'commander'
import { apiCommand, printFrom, printList, queryOf } from './api-options.ts'
import { filtered, filterOf, type JobFilterFlags } from './job-filter.ts'
import type { Column } from './table.ts'

const EXIT_USAGE = 64

interface ManyFlags extends JobFilterFlags {
  readonly status?: string
  readonly limit?: string
  readonly rate?: string
  readonly reason?: string
  readonly dryRun?: boolean
}

const COLUMNS: readonly Column[] = [
  { title: 'HANDLER', field: 'handler' },
  { title: 'SOURCE', field: 'source' },
  { title: 'TYPE', field: 'event_type' },
  { title: 'ERROR', field: 'error' },
  { title: 'JOBS', field: 'jobs', right: true },
  { title: 'FIRST DIED', field: 'first_died_at' },
  { title: 'LAST DIED', field: 'last_died_at' },
]

export function jobsGroupsCommand(): Command {
  return filtered(
    apiCommand('groups', 'dead jobs counted by what they have in common', 'hooktrail jobs groups --by error'),
    'died',
  )
    .option('--by <fields>', 'of handler, source, event_type, error', 'handler,error')
    .action(async (flags: JobFilterFlags & { readonly by: string }) => {
      const by = flags.by.split(',')
      const figures = ['jobs', 'first_died_at', 'last_died_at']
      const columns = COLUMNS.filter(({ field }) => figures.includes(field) || by.includes(field))
      await printList(flags, `/api/dead-letters${queryOf({ ...filterOf(flags), by: flags.by })}`, columns)
    })
}

export function jobsRetryCommand(): Command {
  const command = apiCommand(
    'retry',
    'deliver a dead job again, or all that fit',
    'hooktrail jobs retry 01J….billing --reason fixed\n  hooktrail jobs retry --status dead --handler billing --since 2026-03-01 --dry-run',
  )
  return settling(
    command.option('--rate <n>', 'many: so many become due a second (default: at once)'),
    'retry',
  )
}

export function jobsDiscardCommand(): Command {
  const command = apiCommand(
    'discard',
    'give a dead job up, or all that fit: they are never delivered',
    'hooktrail jobs discard 01J….billing --reason "test order"\n  hooktrail jobs discard --status dead --handler billing --error http_4xx --dry-run',
  )
  return settling(command, 'discard')
}

function settling(command: Command, action: 'retry' | 'discard'): Command {
  return filtered(command, 'died')
    .argument('[id]', 'job id')
    .option('--status <status>', 'dead; to be said for many')
    .option('--limit <n>', 'at most so many (default 1000, at most 10000)')
    .option('--dry-run', 'only count')
    .option(
      '--reason <text>',
      action === 'discard' ? 'why; required, kept in the audit' : 'kept in the audit',
    )
    .action(async (id: string | undefined, flags: ManyFlags) => {
      const { status, limit, rate, reason, dryRun } = flags
      const filter = {
        ...{ ...filterOf(flags), status, dry_run: dryRun },
        ...{ limit: limit && Number(limit), rate: rate && Number(rate) },
      }
      const many = Object.values(filter).some((value) => value !== undefined)
      if (many === (id !== undefined) || (many && status !== 'dead'))
        command.error('name a job id, or --status dead and what they have in common', {
          exitCode: EXIT_USAGE,
        })
      const path = id === undefined ? `/api/jobs/${action}` : `/api/jobs/${encodeURIComponent(id)}/${action}`
      await printFrom(flags, path, { method: 'POST', body: { ...(many ? filter : {}), reason } })
    })
}
