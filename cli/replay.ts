/** `hooktrail replay`: asks for a replay, waits for the count of a dry run; and list, show, pause, resume, cancel. */
import { open } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { InvalidArgumentError, type Command } from 'commander'
import { z } from 'zod'
import { NEVER } from '../core/deadline.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { DataOutput } from './archive-output.ts'
import { apiCommand, callApi, printFrom, printList, queryOf, type ApiFlags } from './api-options.ts'
import { writeLines } from './export-events.ts'
import type { Column } from './table.ts'

const EXIT_USAGE = 64
const POLL_MS = 500
/** Payloads are nobody else's business. */
const FILE_MODE = 0o600
const RATE = /^(\d+(?:\.\d+)?)(?:\/(s|m|h))?$/
const PER_SECOND: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600 }

interface ReplayFlags extends ApiFlags {
  readonly handler?: string
  readonly to?: string
  readonly toTopic?: string
  readonly source?: string
  readonly topic?: string
  readonly partition?: number
  readonly fromOffset?: string
  readonly toOffset?: string
  readonly since?: string
  readonly until?: string
  readonly event?: readonly string[]
  readonly filter?: string
  readonly rate?: number
  readonly dryRun?: boolean
  readonly reason?: string
}

const COLUMNS: readonly Column[] = [
  { title: 'ID', field: 'id' },
  { title: 'HANDLER', field: 'handler' },
  { title: 'STATUS', field: 'status' },
  { title: 'OFFSETS', field: 'offsets', right: true },
  { title: 'DONE', field: 'offsets_done', right: true },
  { title: 'PLANNED', field: 'planned', right: true },
  { title: 'DELIVERED', field: 'delivered', right: true },
  { title: 'OPEN', field: 'open', right: true },
  { title: 'DEAD', field: 'dead', right: true },
  { title: 'REASON', field: 'reason' },
]

const count = z.number()
const replaySchema = z.looseObject({
  ...{ id: z.string(), status: z.string(), notice: z.string().nullish() },
  ...{ handler: z.string().nullable(), to_topic: z.string().nullable() },
  ...{ offsets: count, offsets_done: count, planned: count, filtered: count, duplicate: count },
  ...{ errors: count, skipped: count, lost: count },
})

export function replayCommand(): Command {
  const command = apiCommand(
    'replay',
    'deliver records of the past to a handler once more',
    'hooktrail replay --handler billing --since 2026-03-01 --until 2026-03-02 --dry-run\n  hooktrail replay --handler billing --partition 0 --from-offset 100 --to-offset 199 --reason "lost by them"\n  hooktrail replay --to stdout --source stripe --since 2026-03-01\n  hooktrail replay list',
  )
    .enablePositionalOptions()
    .option('--handler <name>', 'to whom')
    .option('--to <file>', 'or into this file, or stdout: as JSONL, in the form of export events')
    .option('--to-topic <name>', "or into this topic of the log's Kafka, outside hooktrail's own")
    .option('--source <name>', "of this source (default: the handler's own)")
    .option('--topic <name>', 'the same by the name of its topic')
    .option('--partition <p>', 'of this partition (default: all)', parseWhole)
    .option('--from-offset <a>', 'first offset; 0 is the beginning, log and archive together')
    .option('--to-offset <b>', 'last offset, inclusive (default: what is planned by now)')
    .option('--since <time>', 'logged at or after; without a zone it is UTC')
    .option('--until <time>', 'logged before')
    .option('--event <id...>', 'these events')
    .option('--filter <cel>', 'of those only for which this expression is true')
    .option('--rate <n/s>', 'at most so many are sent a second, such as 100/s or 30/m', parseRate)
    .option('--dry-run', 'only count; hooktrail replay resume ID then delivers just those')
    .option('--reason <text>', 'kept in the audit')
    .action(replay)
  for (const child of [listCommand(), showCommand(), ...actionCommands()]) command.addCommand(child)
  return command
}

async function replay(flags: ReplayFlags, command: Command): Promise<void> {
  const { handler, source, topic, partition, since, until, event: events, filter, rate, reason } = flags
  const range = { partition, from_offset: flags.fromOffset, to_offset: flags.toOffset, since, until, events }
  const scope = { source, topic, ...range, filter }
  const targets = [handler, flags.to, flags.toTopic].filter((target) => target !== undefined)
  if (targets.length !== 1)
    command.error('say to whom, once: --handler NAME, --to-topic NAME, or --to stdout or a file', {
      exitCode: EXIT_USAGE,
    })
  if (flags.to !== undefined) {
    await writeRecords(flags, flags.to, scope)
    return
  }
  const body = { handler, to_topic: flags.toTopic, ...scope, rate, dry_run: flags.dryRun, reason }
  if (flags.dryRun === true) await printCount(flags, body)
  else await printFrom(flags, '/api/replays', { method: 'POST', body })
}

/** What would be delivered, instead of delivering it. A file is made, never overwritten. @throws REPLAY_FILE_UNWRITABLE */
async function writeRecords(
  flags: ApiFlags,
  to: string,
  body: Readonly<Record<string, unknown>>,
): Promise<void> {
  const response = await callApi(flags, '/api/replays/records', { method: 'POST', body })
  if (to === 'stdout') {
    await writeLines(response, new DataOutput())
    return
  }
  const refuse = (error: unknown): never => {
    throw new HooktrailError('REPLAY_FILE_UNWRITABLE', { file: to }, error)
  }
  await using file = await open(to, 'wx', FILE_MODE).catch(refuse)
  await writeLines(response, { signal: NEVER, write: (text) => file.appendFile(text).catch(refuse) })
}

async function printCount(flags: ApiFlags, body: Readonly<Record<string, unknown>>): Promise<void> {
  const read = async (response: Response) => replaySchema.parse(await response.json())
  let found = await read(await callApi(flags, '/api/replays', { method: 'POST', body }))
  if (found.notice) process.stderr.write(`hooktrail: ${found.notice}\n`)
  while (found.status === 'counting') {
    if (process.stderr.isTTY) process.stderr.write(`\r${found.offsets_done} of ${found.offsets} counted`)
    await delay(POLL_MS)
    found = await read(await callApi(flags, `/api/replays/${found.id}`))
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K')
  console.log(flags.json === true ? JSON.stringify(found) : countText(found))
}

function countText(found: z.output<typeof replaySchema>): string {
  const {
    id,
    status,
    handler,
    to_topic: to,
    offsets,
    planned,
    filtered,
    duplicate,
    errors,
    skipped,
    lost,
  } = found
  const rest = Object.entries({ filtered, duplicate, errors, skipped, lost })
    .filter(([, n]) => n > 0)
    .map(([name, n]) => `, ${name} ${n}`)
  return [
    `${planned} of ${offsets} records would be delivered to ${handler ?? `topic ${to}`}${rest.join('')}`,
    status === 'counted' ? countedText(id, planned + errors) : `the replay ${id} is ${status}`,
  ].join('\n')
}

/** What its filter fails on would be dead, which is something, too. */
function countedText(id: string, jobs: number): string {
  return jobs === 0 ? 'nothing to deliver' : `deliver these: hooktrail replay resume ${id}`
}

function listCommand(): Command {
  return apiCommand('list', 'replays, newest first', 'hooktrail replay list --handler billing')
    .option('--handler <name>', 'of this handler')
    .option('--limit <n>', 'how many, at most 1000')
    .option('--cursor <cursor>', 'next of the page before')
    .action(
      async (flags: ApiFlags & Partial<Record<'handler' | 'limit' | 'cursor', string>>): Promise<void> => {
        const { handler, limit, cursor } = flags
        await printList(flags, `/api/replays${queryOf({ handler, limit, cursor })}`, COLUMNS)
      },
    )
}

function showCommand(): Command {
  return apiCommand(
    'show',
    'one replay: its ranges, how far it is, what became of it',
    'hooktrail replay show 01J…',
  )
    .argument('<id>', 'replay id')
    .action(async (id: string, flags: ApiFlags) => {
      await printFrom(flags, `/api/replays/${encodeURIComponent(id)}`)
    })
}

const ABOUT = {
  pause: 'nothing more of it is taken until it is resumed',
  resume: 'go on; of a dry run: deliver what was counted',
  cancel: 'nothing more of it is taken; what is open is discarded',
} as const

function actionCommands(): readonly Command[] {
  return Object.entries(ABOUT).map(([action, about]) =>
    apiCommand(action, about, `hooktrail replay ${action} 01J… --reason "…"`)
      .argument('<id>', 'replay id')
      .option('--reason <text>', 'kept in the audit')
      .action(async (id: string, flags: ApiFlags & { readonly reason?: string }) => {
        const path = `/api/replays/${encodeURIComponent(id)}/${action}`
        await printFrom(flags, path, { method: 'POST', body: { reason: flags.reason } })
      }),
  )
}

function parseWhole(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('it is a whole number')
  return Number(text)
}

function parseRate(text: string): number {
  const [, n = '', unit = 's'] = RATE.exec(text) ?? []
  if (n === '') throw new InvalidArgumentError('it is a number such as 100/s, 30/m or 500/h')
  return Number(n) / (PER_SECOND[unit] ?? 1)
}
