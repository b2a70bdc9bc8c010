/**
 * Which handlers a dispatcher serves: those of the pools and the names that it was started with. A name that nothing has
 * is refused before anything starts: a dispatcher that quietly serves nothing looks like one that works (I10). Pure.
 */
import { HooktrailError } from '../error/hooktrail-error.ts'
import { nearestName } from '../nearest-name.ts'
import type { HandlerConfig } from './config.ts'

/** What a dispatcher serves that was told nothing. */
export const DEFAULT_POOL = 'default'

export interface HandlerSelection {
  readonly pools: readonly string[]
  readonly handlers: readonly string[]
}

/** Names of both, together. @throws DISPATCHER_UNKNOWN_POOL, DISPATCHER_UNKNOWN_HANDLER */
export function selectHandlers(
  handlers: readonly Pick<HandlerConfig, 'name' | 'pool'>[],
  { pools, handlers: names }: HandlerSelection,
): readonly string[] {
  requireKnown('DISPATCHER_UNKNOWN_POOL', pools, [...new Set(handlers.map(({ pool }) => pool))])
  requireKnown(
    'DISPATCHER_UNKNOWN_HANDLER',
    names,
    handlers.map(({ name }) => name),
  )
  const isChosen =
    pools.length + names.length === 0
      ? ({ pool }: Pick<HandlerConfig, 'pool'>) => pool === DEFAULT_POOL
      : ({ name, pool }: Pick<HandlerConfig, 'name' | 'pool'>) => pools.includes(pool) || names.includes(name)
  return handlers.filter(isChosen).map(({ name }) => name)
}

function requireKnown(
  code: 'DISPATCHER_UNKNOWN_POOL' | 'DISPATCHER_UNKNOWN_HANDLER',
  names: readonly string[],
  known: readonly string[],
): void {
  for (const name of names) {
    if (known.includes(name)) continue
    const nearest = nearestName(name, known)
    throw new HooktrailError(code, { name, ...(nearest === null ? { known } : { did_you_mean: nearest }) })
  }
}
