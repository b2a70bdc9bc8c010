/** `hooktrail handlers list|pause|disable|enable`: enable is the way back of both. */
import { Command } from 'commander'
import { apiCommand, printFrom, printList, type ApiFlags } from './api-options.ts'
import type { Column } from './table.ts'

const COLUMNS: readonly Column[] = [
  { title: 'HANDLER', field: 'handler' },
  { title: 'SOURCE', field: 'source' },
  { title: 'POOL', field: 'pool' },
  { title: 'DISPATCHERS', field: 'dispatchers', right: true },
  { title: 'UNSERVED SINCE', field: 'unserved_since' },
  { title: 'BREAKER', field: 'breaker' },
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
  const commands = ACTIONS.map(([action, about, example]) => statusCommand(action, about, example))
  return commands.reduce(
    (handlers, command) => handlers.addCommand(command),
    new Command('handlers').description('receivers of events').addCommand(list),
  )
}

const ACTIONS = [
  [
    'pause',
    'deliver nothing to a handler until it is enabled: its events wait in log and archive',
    'hooktrail handlers pause billing --reason "maintenance until noon"',
  ],
  [
    'disable',
    'the same, of a handler whose endpoint is not to be sent to as it is',
    'hooktrail handlers disable billing --reason "wrong endpoint"',
  ],
  [
    'enable',
    'deliver to a handler again: its open jobs first, dead ones only after jobs retry',
    'hooktrail handlers enable billing --reason "endpoint is back"',
  ],
] as const

function statusCommand(action: string, about: string, example: string): Command {
  return apiCommand(action, about, example)
    .argument('<name>', 'handler')
    .option('--reason <text>', 'kept in the audit')
    .action(async (name: string, flags: ApiFlags & { readonly reason?: string }) => {
      const body = flags.reason === undefined ? {} : { reason: flags.reason }
      await printFrom(flags, `/api/handlers/${encodeURIComponent(name)}/${action}`, { method: 'POST', body })
    })
}
