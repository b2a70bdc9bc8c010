/**
 * Sorts what the driver throws: unreachable or restarting (STORE_UNAVAILABLE), disk full (STORE_FULL), refused
 * (STORE_REFUSED), and the rest as it is. A caller that sees STORE_UNAVAILABLE does not know whether its statement took effect.
 */
import { DatabaseError } from 'pg'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { messageOf } from '../../core/error/message-of.ts'

/** Lock and statement timeouts count as unavailable: the statement had no effect, and trying again is right. */
const UNAVAILABLE = new Set([
  '57P01',
  '57P02',
  '57P03',
  '57014',
  '53300',
  '55P03',
  '25P03',
  '25P04',
  '3D000',
  '58030',
  '53200',
])
const FULL = new Set(['53100'])
/** Wrong user or password, or no right to do it: waiting does not help. */
const REFUSED = new Set(['28000', '28P01', '42501'])
const REPEATABLE = new Set(['40001', '40P01'])

export function mapDatabaseError(error: unknown): unknown {
  if (error instanceof HooktrailError || error instanceof TypeError || error instanceof RangeError)
    return error
  if (error instanceof DatabaseError) {
    const state = error.code ?? ''
    if (FULL.has(state)) return new HooktrailError('STORE_FULL', { sqlState: state }, error)
    if (REFUSED.has(state))
      return new HooktrailError('STORE_REFUSED', { sqlState: state, reason: error.message }, error)
    if (UNAVAILABLE.has(state) || state.startsWith('08'))
      return new HooktrailError('STORE_UNAVAILABLE', { sqlState: state, reason: error.message }, error)
    return error
  }
  // Everything else that the driver rejects with comes from the connection: refused, reset, ended, timed out.
  return new HooktrailError('STORE_UNAVAILABLE', { reason: messageOf(error) }, error)
}

/** Deadlock or serialization failure: the transaction was rolled back as a whole and may be run again. */
export function isRepeatable(error: unknown): boolean {
  return error instanceof DatabaseError && REPEATABLE.has(error.code ?? '')
}

export function sqlStateOf(error: unknown): string | null {
  if (error instanceof DatabaseError) return error.code ?? null
  return error instanceof Error && error.cause instanceof DatabaseError ? (error.cause.code ?? null) : null
}
