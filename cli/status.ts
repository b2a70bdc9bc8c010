/** `hooktrail status`: the verdict first, then what it was computed from. */
import type { Command } from 'commander'
import { z } from 'zod'
import { apiCommand, callApi, type ApiFlags } from './api-options.ts'

const healthSchema = z.looseObject({ verdict: z.string() })

export function statusCommand(): Command {
  return apiCommand('status', 'how it stands, in a sentence first', 'hooktrail status').action(
    async (flags: ApiFlags) => {
      const health = healthSchema.parse(await (await callApi(flags, '/health')).json())
      if (flags.json === true) console.log(JSON.stringify(health))
      else console.log(`${health.verdict}\n${JSON.stringify(health, null, 2)}`)
    },
  )
}
