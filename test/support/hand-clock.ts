/** A clock that stands still until a test moves it: waits end when their time has come, never by waiting. */
import type { Clock } from '../../core/clock.ts'

interface Sleeper {
  readonly wakeAt: number
  readonly wake: () => void
}

export class HandClock implements Clock {
  #wallMs: number
  #monotonicMs = 0
  readonly #sleepers = new Set<Sleeper>()

  constructor(wallMs = Date.now()) {
    this.#wallMs = wallMs
  }

  now(): number {
    return this.#wallMs
  }

  monotonic(): number {
    return this.#monotonicMs
  }

  advance(ms: number): void {
    this.#wallMs += ms
    this.#monotonicMs += ms
    for (const sleeper of this.#sleepers) if (sleeper.wakeAt <= this.#monotonicMs) sleeper.wake()
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const sleeper = {
      wakeAt: this.#monotonicMs + ms,
      wake: () => {
        resolve()
      },
    }
    this.#sleepers.add(sleeper)
    const wake = (): void => {
      resolve()
    }
    signal.addEventListener('abort', wake, { once: true })
    if (signal.aborted || ms <= 0) resolve()
    return promise.finally(() => {
      this.#sleepers.delete(sleeper)
      signal.removeEventListener('abort', wake)
    })
  }
}
