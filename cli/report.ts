/** `hooktrail report`: the sums, and whether they agree. */
import type { Command } from 'commander'
import { z } from 'zod'
import { apiCommand, callApi, queryOf, type ApiFlags } from './api-options.ts'

const reportSchema = z.object({
  sources: z.array(
    z.object({ source: z.string(), received: z.number(), duplicate: z.number(), conflict: z.number() }),
  ),
  handlers: z.array(
    z.object({
      source: z.string(),
      handler: z.string(),
      planned: z.number(),
      delivered: z.number(),
      dead: z.number(),
      inProgress: z.number(),
    }),
  ),
  disagreeing: z.array(z.object({ eventId: z.string(), reason: z.string() })),
})

type Report = z.output<typeof reportSchema>

export function reportCommand(): Command {
  return apiCommand(
    'report',
    'what became of every event; exit 1 where the sums disagree',
    'hooktrail report',
  )
    .option('--since <time>', 'received at or after; without a zone it is UTC')
    .option('--until <time>', 'received before')
    .action(async (flags: ApiFlags & { readonly since?: string; readonly until?: string }) => {
      const response = await callApi(
        flags,
        `/api/report${queryOf({ since: flags.since, until: flags.until })}`,
      )
      const report = reportSchema.parse(await response.json())
      console.log(flags.json === true ? JSON.stringify(report) : textOf(report))
      if (report.disagreeing.length > 0) process.exitCode = 1
    })
}

function textOf({ sources, handlers, disagreeing }: Report): string {
  return [
    disagreeing.length === 0 ? 'the sums agree' : `${disagreeing.length} events where the sums disagree:`,
    ...disagreeing.map(({ eventId, reason }) => `  ${eventId}: ${reason}`),
    ...sources.map(
      (row) =>
        `${row.source}: received ${row.received}, duplicate ${row.duplicate}, conflict ${row.conflict}`,
    ),
    ...handlers.map(
      (row) =>
        `${row.source} → ${row.handler}: planned ${row.planned}, delivered ${row.delivered}, dead ${row.dead}, in progress ${row.inProgress}`,
    ),
  ].join('\n')
}
