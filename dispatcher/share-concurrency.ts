/**
 * Each handler's own part of the process's send slots. A part is fixed, not borrowed: a handler whose endpoint hangs
 * holds its own slots and no one else's (I6).
 */
import type { HandlerConfig } from '../core/config/config.ts'

export function shareConcurrency(
  handlers: readonly Pick<HandlerConfig, 'name' | 'concurrency'>[],
  concurrencyMax: number,
): ReadonlyMap<string, number> {
  const wanted = handlers.reduce((sum, { concurrency }) => sum + concurrency, 0)
  const ratio = wanted > concurrencyMax ? concurrencyMax / wanted : 1
  return new Map(
    handlers.map(({ name, concurrency }) => [name, Math.max(1, Math.floor(concurrency * ratio))]),
  )
}
