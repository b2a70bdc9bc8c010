/** `hooktrail export events`: JSONL on stdout, streamed without a cap; exit 1 when payloads could not be read. */
import { Command } from 'commander'
import { z } from 'zod'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { DataOutput } from './archive-output.ts'
import { apiCommand, callApi, queryOf, type ApiFlags } from './api-options.ts'
import { errorText } from './report-error.ts'

const EXIT_INCOMPLETE = 1
const missingSchema = z.object({ missing: z.number() })

/** Where lines go: as DataOutput. */
export interface LineOutput {
  readonly signal: AbortSignal
  write(text: string): Promise<void> | undefined
}

interface ExportFlags extends ApiFlags {
  readonly since?: string
  readonly until?: string
  readonly source?: string
  readonly limit?: string
}

export function exportCommand(): Command {
  return new Command('export').description('print what is stored, as JSONL').addCommand(exportEventsCommand())
}

function exportEventsCommand(): Command {
  return apiCommand(
    'events',
    'events with their payloads',
    'hooktrail export events --since 2026-03-01 > events.jsonl',
  )
    .option('--since <time>', 'received at or after; without a zone it is UTC')
    .option('--until <time>', 'received before')
    .option('--source <name>', 'of this source')
    .option('--limit <n>', 'at most so many')
    .action(async (flags: ExportFlags) => {
      const { since, until, source, limit } = flags
      const response = await callApi(flags, `/api/export/events${queryOf({ since, until, source, limit })}`)
      await writeLines(response, new DataOutput())
    })
}

/** All lines of an export; what it says is missing is told on stderr, and by the exit code. */
export async function writeLines(response: Response, out: LineOutput): Promise<void> {
  const chunks: AsyncIterable<Uint8Array> | null = response.body
  if (chunks === null) return
  const missing = missingOf(await writeAllButLast(chunks, out))
  if (missing === null) return
  process.stderr.write(`${errorText(new HooktrailError('API_PAYLOAD_GONE', { events: missing }))}\n`)
  process.exitCode = EXIT_INCOMPLETE
}

/** The last line is held back: it may say what is missing, and then it is no data. Returns it when it was not printed. */
async function writeAllButLast(chunks: AsyncIterable<Uint8Array>, out: LineOutput): Promise<string> {
  const decoder = new TextDecoder()
  let held = ''
  for await (const chunk of chunks) {
    if (out.signal.aborted) return ''
    held += decoder.decode(chunk, { stream: true })
    const end = held.lastIndexOf('\n', held.length - 2) + 1
    if (end > 0) await out.write(held.slice(0, end))
    held = held.slice(end)
  }
  if (missingOf(held) !== null) return held
  await out.write(held)
  return ''
}

function missingOf(line: string): number | null {
  if (!line.startsWith('{"code":"API_PAYLOAD_GONE"')) return null
  return missingSchema.parse(JSON.parse(line)).missing
}
