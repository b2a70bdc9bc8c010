/**
 * The one bound on work that somebody waits for: what comes in time is the answer, what is late is not waited for, and
 * no timer outlives the answer. Work that can be ended is told that it is late; what becomes of other work then, also
 * its failure, is nobody's business any more.
 */
import type { Clock } from './clock.ts'

/** For who waits, or works, until it is done. */
export const NEVER = new AbortController().signal

export interface Deadline {
  readonly ms: number
  readonly clock: Pick<Clock, 'sleep'>
  /** Ends the waiting early, as the deadline does. */
  readonly signal?: AbortSignal | undefined
}

/** One for all: an error of its own for each costs a stack, and nobody looks at why a wait ended. */
export const ENDED = new DOMException('the wait has ended', 'AbortError')

/** Null when the time was up first; rejects with what `work` rejects with in time. */
export async function within<T>(
  work: (late: AbortSignal) => Promise<T>,
  { ms, clock, signal }: Deadline,
): Promise<{ readonly value: T } | null> {
  const late = new AbortController()
  const settled = new AbortController()
  const ends = signal === undefined ? settled.signal : AbortSignal.any([signal, settled.signal])
  try {
    const answer = work(late.signal).then((value) => ({ value }))
    return await Promise.race([answer, clock.sleep(ms, ends).then(() => null)])
  } finally {
    // Of no effect on work that is done.
    late.abort(ENDED)
    settled.abort(ENDED)
  }
}
