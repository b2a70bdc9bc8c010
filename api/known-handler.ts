/** A name that no handler has is an error that says which one may be meant, and never an empty list. */
import type { Config } from '../core/config/config.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { nearestName } from '../core/nearest-name.ts'
import type { OperatorStore } from '../core/ports/operator-store.ts'
import { handlerOf } from '../core/replay/replay-name.ts'

/** Handlers that were removed are known as long as the store has them, and the names of their replays with them. @throws API_HANDLER_NOT_FOUND */
export async function requireHandler(
  store: Pick<OperatorStore, 'handlers'>,
  { handlers }: Config,
  name: string,
): Promise<void> {
  const stored = (await store.handlers()).map(({ handler }) => handler)
  const names = [...new Set([...stored, ...handlers.map((handler) => handler.name)])]
  if (!names.includes(handlerOf(name))) throw unknownHandler(name, names)
}

export function unknownHandler(handler: string, names: readonly string[]): HooktrailError {
  const nearest = nearestName(handler, names)
  return new HooktrailError('API_HANDLER_NOT_FOUND', {
    handler,
    ...(nearest === null ? {} : { did_you_mean: nearest }),
  })
}
