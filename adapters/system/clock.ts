/** The machine's clock. Tests inject another one; everything else is handed this. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../../core/clock.ts'

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    await delay(ms, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
  },
}
