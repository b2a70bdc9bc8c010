/** What commands on many jobs filter by, as flags and as parameters of the API. */
import type { Command } from 'commander'
import type { ApiFlags } from './api-options.ts'

export interface JobFilterFlags extends ApiFlags {
  readonly handler?: string
  readonly source?: string
  readonly type?: string
  readonly error?: string
  readonly since?: string
  readonly until?: string
}

/** @param ended what happened at `--since` and before `--until` */
export function filtered(command: Command, ended: 'ended' | 'died'): Command {
  return command
    .option('--handler <name>', 'of this handler')
    .option('--source <name>', 'of this source')
    .option('--type <type>', 'of this event type')
    .option('--error <class>', 'whose last error is of this class')
    .option('--since <time>', `${ended} at or after; without a zone it is UTC`)
    .option('--until <time>', `${ended} before`)
}

export function filterOf({ handler, source, type, error, since, until }: JobFilterFlags) {
  return { handler, source, event_type: type, error, since, until }
}
