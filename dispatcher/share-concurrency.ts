/**
 * Each handler's part of the process's send slots. Its concurrency is divided by the live dispatchers that serve it, and
 * what is left of the process is shared in proportion. A part is fixed, not borrowed: a handler whose endpoint hangs
 * holds its own slots and no one else's (I6).
 */
import type { HandlerConfig } from '../core/config/config.ts'
import type { ServedHandler } from '../core/ports/lease-store.ts'

type Handler = Pick<HandlerConfig, 'name' | 'concurrency'>
export type Place = Pick<ServedHandler, 'dispatchers' | 'before'>

const ALONE: Place = { dispatchers: 1, before: 0 }

export function shareConcurrency(
  handlers: readonly Handler[],
  concurrencyMax: number,
  places: ReadonlyMap<string, Place> = new Map(),
): ReadonlyMap<string, number> {
  const parts = handlers.map((handler) => partOf(handler, places.get(handler.name) ?? ALONE))
  const wanted = parts.reduce((sum, part) => sum + part, 0)
  const ratio = wanted > concurrencyMax ? concurrencyMax / wanted : 1
  return new Map(
    handlers.map(({ name }, index) => [name, Math.max(1, Math.floor((parts[index] ?? 0) * ratio))]),
  )
}

/** The first ones get what does not divide: together never more than the concurrency, but for the one that each gets. */
function partOf({ concurrency }: Handler, { dispatchers, before }: Place): number {
  const all = Math.max(1, dispatchers)
  return Math.max(1, Math.floor(concurrency / all) + (before < concurrency % all ? 1 : 0))
}

/** A rate divides without a rest: together they never have more, and each may wait for its turn. */
export function shareRate(
  { ratePerSecond }: Pick<HandlerConfig, 'ratePerSecond'>,
  { dispatchers }: Place = ALONE,
): number | null {
  return ratePerSecond === null ? null : ratePerSecond / Math.max(1, dispatchers)
}
