/** `--pool` and `--handler` of `hooktrail dispatcher`: which handlers it takes and sends. Both repeat, or take a comma list. */
import { InvalidArgumentError, type Command } from 'commander'
import type { Settings } from '../core/config/config.ts'
import { selectHandlers } from '../core/config/select-handlers.ts'

export interface ServeFlags {
  readonly pool?: readonly string[]
  readonly handler?: readonly string[]
}

export function addServeOptions(command: Command): Command {
  return command
    .option(
      '--pool <name>',
      'serve the handlers of this pool; may be repeated (default: the pool default)',
      collect,
    )
    .option('--handler <name>', 'serve this handler; may be repeated, and stand beside --pool', collect)
    .addHelpText(
      'after',
      `
Which handlers are served:
  hooktrail dispatcher                              those of the pool default
  hooktrail dispatcher --pool heavy                 those with pool: heavy
  hooktrail dispatcher --pool default,heavy         both pools
  hooktrail dispatcher --handler billing            billing alone
Every dispatcher plans for all handlers. A pool or handler that nothing has: 64.`,
    )
}

/** @throws DISPATCHER_UNKNOWN_POOL, DISPATCHER_UNKNOWN_HANDLER */
export function servedOf({ handlers }: Settings, { pool = [], handler = [] }: ServeFlags): readonly string[] {
  return selectHandlers(handlers, { pools: pool, handlers: handler })
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('a name is missing')
  return [...before, ...names]
}
