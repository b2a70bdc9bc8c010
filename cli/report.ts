/** `hooktrail report`: what became of every event, whether the sums agree, and the exit code that says so. */
import type { Command } from 'commander'
import { z } from 'zod'
import { apiCommand, callApi, queryOf, type ApiFlags } from './api-options.ts'

const EXIT = { agree: 0, disagree: 1, loss: 2 } as const

const count = z.number()
const reportSchema = z.looseObject({
  verdict: z.enum(['agree', 'disagree', 'loss']),
  compared_from: z.string().nullable(),
  archive_read: z.boolean(),
  sources: z.array(
    z.looseObject({
      ...{ source: z.string(), received: count, duplicate: count, conflict: count, lost: count },
      ...{
        unindexed: count,
        archived: count.nullable(),
        repeated: count,
        rejected: z.record(z.string(), count),
      },
    }),
  ),
  handlers: z.array(
    z.looseObject({
      ...{ source: z.string(), handler: z.string(), planned: count, errors: count, filtered: count },
      ...{ duplicate: count, expired: count, lost: count, delivered: count, dead: count },
      ...{ discarded: count, in_progress: count },
    }),
  ),
  losses: z.array(
    z.object({
      ...{ topic: z.string(), partition: count, from: z.string(), to: z.string(), reason: z.string() },
    }),
  ),
  disagreeing: z.array(z.object({ event_id: z.string().nullable(), place: z.string(), reason: z.string() })),
})

type Report = z.output<typeof reportSchema>

export function reportCommand(): Command {
  return apiCommand('report', 'what became of every event, and whether the sums agree', 'hooktrail report')
    .option('--since <time>', 'received at or after; without a zone it is UTC')
    .option('--until <time>', 'received before')
    .addHelpText(
      'after',
      '            1 the sums disagree, 2 they agree and the archive declares a loss\n\nThe checks always cover everything that is held; --since and --until choose what is counted.\nfiltered, duplicate, expired and lost are counted by plan step: of all steps that hold events of the window.\n\nRequests of a source = received + rejected + answered as duplicate (repeats that ingress recognised; not those of\nthe last minute). received = planned + errors + filtered + duplicate + expired + waiting of a handler that was there\nfrom the start; planned + errors = delivered + dead + discarded + in progress − waiting.',
    )
    .action(async (flags: ApiFlags & { readonly since?: string; readonly until?: string }) => {
      const query = queryOf({ since: flags.since, until: flags.until })
      const report = reportSchema.parse(await (await callApi(flags, `/api/report${query}`)).json())
      console.log(flags.json === true ? JSON.stringify(report) : textOf(report))
      process.exitCode = EXIT[report.verdict]
    })
}

function textOf(report: Report): string {
  const { disagreeing, losses, sources, handlers } = report
  return [
    headline(report),
    ...disagreeing.map(({ event_id, place, reason }) => `  ${event_id ?? '-'} ${place}: ${reason}`),
    ...losses.map(
      (loss) => `  lost: ${loss.topic}/${loss.partition} ${loss.from} to ${loss.to}, ${loss.reason}`,
    ),
    ...scopeLines(report),
    ...sources.map(sourceLine),
    ...handlers.map(handlerLine),
  ].join('\n')
}

function headline({ verdict, disagreeing, losses }: Report): string {
  switch (verdict) {
    case 'agree':
      return 'the sums agree'
    case 'disagree':
      return `the sums disagree (${disagreeing.length}):`
    case 'loss':
      return `the sums agree, and ${losses.length} losses are declared in the archive:`
    default:
      return verdict satisfies never
  }
}

function scopeLines({ compared_from, archive_read }: Report): readonly string[] {
  return [
    ...(compared_from === null
      ? []
      : [`compared from ${compared_from} on: older rows are past their retention`]),
    ...(archive_read ? [] : ['the archive was not compared: this API cannot read it']),
  ]
}

function sourceLine(row: Report['sources'][number]): string {
  const rejected = Object.entries(row.rejected).map(([reason, n]) => `${n} ${reason}`)
  const parts = [
    `received ${row.received}`,
    `rejected ${rejected.length === 0 ? 0 : rejected.join(' + ')}`,
    `answered as duplicate ${row.repeated}`,
    `duplicate ${row.duplicate}`,
    `conflict ${row.conflict}`,
    `lost ${row.lost}`,
    `not indexed yet ${row.unindexed}`,
    `archived ${row.archived ?? '?'}`,
  ]
  return `${row.source}: ${parts.join(', ')}`
}

function handlerLine(row: Report['handlers'][number]): string {
  const { planned, errors, filtered, duplicate, expired, lost } = row
  const passed = { planned, errors, filtered, duplicate, expired, lost }
  const { delivered, dead, discarded, in_progress: inProgress } = row
  const ended = { delivered, dead, discarded, 'in progress': inProgress }
  const words = [...Object.entries(passed), ...Object.entries(ended)].map(([name, n]) => `${name} ${n}`)
  return `${row.source} → ${row.handler}: ${words.join(', ')}`
}
