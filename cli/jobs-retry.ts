/** `hooktrail jobs retry`: one dead job by its id, or all dead ones of a handler, counted. */
import type { Command } from 'commander'
import { apiCommand, printFrom, type ApiFlags } from './api-options.ts'

const EXIT_USAGE = 64

interface RetryFlags extends ApiFlags {
  readonly status?: string
  readonly handler?: string
  readonly since?: string
  readonly until?: string
  readonly limit?: string
  readonly reason?: string
  readonly dryRun?: boolean
}

export function jobsRetryCommand(): Command {
  return apiCommand(
    'retry',
    'deliver a dead job again, or all dead ones of a handler',
    'hooktrail jobs retry 01J….billing --reason fixed\n  hooktrail jobs retry --status dead --handler billing --since 2026-03-01 --dry-run',
  )
    .argument('[id]', 'job id')
    .option('--status <status>', 'dead')
    .option('--handler <name>', 'of this handler')
    .option('--since <time>', 'died at or after; without a zone it is UTC')
    .option('--until <time>', 'died before')
    .option('--limit <n>', 'at most so many (default 1000, at most 10000)')
    .option('--dry-run', 'only count')
    .option('--reason <text>', 'kept in the audit')
    .action(async (id: string | undefined, flags: RetryFlags, command: Command) => {
      const { status, handler, since, until, limit, reason, dryRun } = flags
      const many = [status, handler, since, until, limit, dryRun].some((value) => value !== undefined)
      if (many === (id !== undefined) || (many && (status !== 'dead' || handler === undefined)))
        command.error('name a job id, or --status dead and --handler', { exitCode: EXIT_USAGE })
      const filter = { status, handler, since, until, limit: limit && Number(limit), dry_run: dryRun }
      const path = id === undefined ? '/api/jobs/retry' : `/api/jobs/${encodeURIComponent(id)}/retry`
      await printFrom(flags, path, { method: 'POST', body: { ...(many ? filter : {}), reason } })
    })
}
