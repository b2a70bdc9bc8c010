/** `hooktrail events list|get`. */
import { Command } from 'commander'
import { apiCommand, printFrom, printList, queryOf, type ApiFlags } from './api-options.ts'
import type { Column } from './table.ts'

interface ListFlags extends ApiFlags {
  readonly source?: string
  readonly type?: string
  readonly since?: string
  readonly until?: string
  readonly limit?: string
  readonly cursor?: string
}

const COLUMNS: readonly Column[] = [
  { title: 'ID', field: 'id' },
  { title: 'SOURCE', field: 'source' },
  { title: 'TYPE', field: 'event_type' },
  { title: 'RECEIVED', field: 'created_at' },
  { title: 'BYTES', field: 'size_bytes', right: true },
  { title: 'DUPLICATE OF', field: 'duplicate_of' },
]

export function eventsCommand(): Command {
  const list = apiCommand(
    'list',
    'newest events first',
    'hooktrail events list --source stripe --since 2026-03-01',
  )
    .option('--source <name>', 'of this source')
    .option('--type <type>', 'of this type')
    .option('--since <time>', 'received at or after; without a zone it is UTC')
    .option('--until <time>', 'received before')
    .option('--limit <n>', 'how many, at most 1000')
    .option('--cursor <cursor>', 'next of the page before')
    .action(async (flags: ListFlags) => {
      const { source, type, since, until, limit, cursor } = flags
      await printList(flags, `/api/events${queryOf({ source, type, since, until, limit, cursor })}`, COLUMNS)
    })
  const get = apiCommand('get', 'one event with payload, evidence and jobs', 'hooktrail events get 01J…')
    .argument('<id>', 'event id')
    .action(async (id: string, flags: ApiFlags) => {
      await printFrom(flags, `/api/events/${encodeURIComponent(id)}`)
    })
  return new Command('events').description('what was received').addCommand(list).addCommand(get)
}
