/** `hooktrail handlers list|enable`: enable is the way back of a handler that was disabled. */
import { Command } from 'commander'
import { apiCommand, printFrom, printList, type ApiFlags } from './api-options.ts'
import type { Column } from './table.ts'

const COLUMNS: readonly Column[] = [
  { title: 'HANDLER', field: 'handler' },
  { title: 'SOURCE', field: 'source' },
  { title: 'POOL', field: 'pool' },
  { title: 'DISPATCHERS', field: 'dispatchers', right: true },
  { title: 'UNSERVED SINCE', field: 'unserved_since' },
  { title: 'STATUS', field: 'status' },
  { title: 'REASON', field: 'status_reason' },
]

export function handlersCommand(): Command {
  const list = apiCommand(
    'list',
    'handlers with their status, and whether a dispatcher serves them',
    'hooktrail handlers list',
  ).action(async (flags: ApiFlags) => {
    await printList(flags, '/api/handlers', COLUMNS)
  })
  const enable = apiCommand(
    'enable',
    'deliver to a disabled handler again: its open jobs first, dead ones only after jobs retry',
    'hooktrail handlers enable billing --reason "endpoint is back"',
  )
    .argument('<name>', 'handler')
    .option('--reason <text>', 'kept in the audit')
    .action(async (name: string, flags: ApiFlags & { readonly reason?: string }) => {
      const body = flags.reason === undefined ? {} : { reason: flags.reason }
      await printFrom(flags, `/api/handlers/${encodeURIComponent(name)}/enable`, { method: 'POST', body })
    })
  return new Command('handlers').description('receivers of events').addCommand(list).addCommand(enable)
}
