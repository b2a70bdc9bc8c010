/** `hooktrail status`: the verdict first, then what it was computed from, a line each. */
import type { Command } from 'commander'
import { z } from 'zod'
import { apiCommand, callApi, type ApiFlags } from './api-options.ts'

/** Null stands for what the process does not know. */
const seconds = z.number().nullable()
const healthSchema = z.looseObject({
  verdict: z.string(),
  generation: z.string(),
  services: z.array(z.looseObject({ name: z.string(), waiting_for: z.string().nullable() })),
  handlers: z
    .array(
      z.looseObject({
        ...{
          handler: z.string(),
          source: z.string(),
          status: z.string(),
          status_reason: z.string().nullable(),
          configured: z.boolean(),
        },
        ...{
          lag_records: z.number().nullable(),
          available: z.number(),
          running: z.number(),
          retryable: z.number(),
        },
        dead: z.number(),
        ...{ oldest_due_seconds: seconds, last_error: z.string().nullable(), unserved_seconds: seconds },
        ...{ breaker: z.string(), breaker_reason: z.string().nullable(), breaker_seconds: seconds },
      }),
    )
    .nullable(),
  archive: z
    .looseObject({
      ...{ id: z.string(), location: z.string(), lag_seconds: seconds, margin_seconds: seconds },
      last_heartbeat: z.looseObject({ n: z.string(), age_seconds: z.number() }).nullable(),
    })
    .nullable(),
})

type HealthAnswer = z.output<typeof healthSchema>

export function statusCommand(): Command {
  return apiCommand('status', 'how it stands, in a sentence first', 'hooktrail status').action(
    async (flags: ApiFlags) => {
      const health = healthSchema.parse(await (await callApi(flags, '/health')).json())
      console.log(flags.json === true ? JSON.stringify(health) : textOf(health))
    },
  )
}

function textOf(health: HealthAnswer): string {
  const { verdict, services, handlers, archive, generation } = health
  return [
    verdict,
    '',
    `configuration ${generation}`,
    `services      ${services.map((service) => service.name + (service.waiting_for === null ? '' : ' (waits)')).join(', ')}`,
    ...(handlers?.map(handlerLine) ?? ['handlers      not known: the database does not answer']),
    archiveLine(archive),
  ].join('\n')
}

function handlerLine(row: NonNullable<HealthAnswer['handlers']>[number]): string {
  const reason = row.status_reason === null ? '' : ` (${row.status_reason})`
  const due = row.oldest_due_seconds
  const unserved = row.unserved_seconds
  const parts = [
    row.configured ? `${row.status}${reason}` : 'not in the configuration any more',
    ...(row.configured && unserved !== null ? [`served by no dispatcher for ${Math.round(unserved)} s`] : []),
    ...(row.breaker_seconds === null
      ? []
      : [`breaker ${row.breaker} for ${Math.round(row.breaker_seconds)} s (${row.breaker_reason ?? ''})`]),
    row.lag_records === null ? 'no position in the log' : `${row.lag_records} not planned`,
    `${row.available} available, ${row.running} running, ${row.retryable} retryable, ${row.dead} dead`,
    ...(due === null ? [] : [`oldest due for ${Math.round(due)} s`]),
    ...(row.last_error === null ? [] : [`last error ${row.last_error}`]),
  ]
  return `handler       ${row.handler} of ${row.source}: ${parts.join(' · ')}`
}

function archiveLine(archive: HealthAnswer['archive']): string {
  if (archive === null) return 'archive       unknown to this process'
  const { location, lag_seconds: lag, last_heartbeat: heartbeat } = archive
  const parts = [
    location,
    lag === null ? 'lag not known' : `${Math.round(lag)} s behind`,
    heartbeat === null
      ? 'no heartbeat known'
      : `heartbeat ${heartbeat.n} of ${Math.round(heartbeat.age_seconds)} s ago`,
  ]
  return `archive       ${parts.join(' · ')}`
}
