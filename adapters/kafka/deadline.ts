/** Our own bound on work that the client bounds too late or not at all. */
import type { Clock } from '../../core/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

/** The work goes on behind a deadline that passed; what becomes of it then is not told any more. @throws LOG_UNAVAILABLE */
export async function within<T>(ms: number, clock: Clock, work: Promise<T>): Promise<T> {
  const settled = new AbortController()
  const late = clock.sleep(ms, settled.signal).then(() => null)
  try {
    const winner = await Promise.race([work.then((value) => ({ value })), late])
    if (winner !== null) return winner.value
  } finally {
    settled.abort()
  }
  work.catch(() => undefined)
  throw new HooktrailError('LOG_UNAVAILABLE', { reason: `no answer within ${ms} ms` })
}
