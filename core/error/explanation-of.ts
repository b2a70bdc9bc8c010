/** What went wrong as one line for people: the constant text of the catalogue, and behind it the reason of this one case. */
import { isHooktrailError } from './hooktrail-error.ts'
import { messageOf } from './message-of.ts'

export function explanationOf(error: unknown): string {
  const reason = isHooktrailError(error) ? error.details['reason'] : null
  return typeof reason === 'string' && reason !== '' ? `${messageOf(error)}: ${reason}` : messageOf(error)
}
