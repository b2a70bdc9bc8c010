/** Our own bound on work that the client bounds too late or not at all. */
import type { Clock } from '../../core/clock.ts'
import { within as answerWithin } from '../../core/deadline.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'

/** The work goes on behind a deadline that passed; what becomes of it then is not told any more. @throws LOG_UNAVAILABLE */
export async function within<T>(ms: number, clock: Clock, work: Promise<T>): Promise<T> {
  const answer = await answerWithin(() => work, { ms, clock })
  if (answer === null) throw new HooktrailError('LOG_UNAVAILABLE', { reason: `no answer within ${ms} ms` })
  return answer.value
}
