/** `hooktrail jobs list|get|retry`. */
import { Command } from 'commander'
import { apiCommand, printFrom, queryOf, type ApiFlags } from './api-options.ts'

interface ListFlags extends ApiFlags {
  readonly handler?: string
  readonly status?: string
  readonly limit?: string
  readonly cursor?: string
}

export function jobsCommand(): Command {
  const list = apiCommand('list', 'deliveries, newest first', 'hooktrail jobs list --status dead')
    .option('--handler <name>', 'of this handler')
    .option('--status <status>', 'available, running, retryable, completed, dead')
    .option('--limit <n>', 'how many, at most 1000')
    .option('--cursor <cursor>', 'next of the page before')
    .action(async (flags: ListFlags) => {
      const { handler, status, limit, cursor } = flags
      await printFrom(flags, `/api/jobs${queryOf({ handler, status, limit, cursor })}`)
    })
  const get = apiCommand('get', 'one job with its attempts', 'hooktrail jobs get 01J….billing')
    .argument('<id>', 'job id')
    .action(async (id: string, flags: ApiFlags) => {
      await printFrom(flags, `/api/jobs/${encodeURIComponent(id)}?include_attempts=true`)
    })
  const retry = apiCommand(
    'retry',
    'deliver a dead job again',
    'hooktrail jobs retry 01J….billing --reason fixed',
  )
    .argument('<id>', 'job id')
    .option('--reason <text>', 'kept in the audit')
    .action(async (id: string, flags: ApiFlags & { readonly reason?: string }) => {
      const body = flags.reason === undefined ? {} : { reason: flags.reason }
      await printFrom(flags, `/api/jobs/${encodeURIComponent(id)}/retry`, { method: 'POST', body })
    })
  return new Command('jobs').description('deliveries').addCommand(list).addCommand(get).addCommand(retry)
}
