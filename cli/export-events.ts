/** `hooktrail export events`: JSONL on stdout, streamed without a cap. */
import type { Command } from 'commander'
import { DataOutput } from './archive-output.ts'
import { apiCommand, callApi, queryOf, type ApiFlags } from './api-options.ts'

interface ExportFlags extends ApiFlags {
  readonly since?: string
  readonly until?: string
  readonly source?: string
  readonly limit?: string
}

export function exportCommand(): Command {
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
      const out = new DataOutput()
      const decoder = new TextDecoder()
      const chunks: AsyncIterable<Uint8Array> | null = response.body
      if (chunks === null) return
      for await (const chunk of chunks) {
        if (out.signal.aborted) break
        await out.write(decoder.decode(chunk, { stream: true }))
      }
    })
}
