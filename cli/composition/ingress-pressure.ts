/**
 * Tells the services' thread when receiving needs the machine: on few cores, while the main thread is busy nearly all of
 * its time, loops there pause after each step: a burst of webhooks is answered first, and deliveries and archive catch up
 * behind it. Only a burst: what goes on for longer shares the machine. With cores enough nobody is in anybody's way.
 */
import { availableParallelism } from 'node:os'
import { performance, type EventLoopUtilization } from 'node:perf_hooks'

/** Main thread, services' thread, and two for the database. */
const CORES_ENOUGH = 4
const MEASURE_MS = 100
const BUSY_UTILIZATION = 0.6
const YIELD_MS = 100
/** Of yielding in a row; regained as fast as it was spent while there is no pressure. */
const BURST_MS_MAX = 5_000

export class IngressPressure implements Disposable {
  /** One int32: 1 while the main thread is busy. */
  readonly shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)
  readonly #busy = new Int32Array(this.shared)
  #since: EventLoopUtilization = performance.eventLoopUtilization()
  readonly #timer: NodeJS.Timeout | null
  #spentMs = 0

  constructor() {
    this.#timer =
      availableParallelism() >= CORES_ENOUGH
        ? null
        : setInterval(() => {
            this.#measure()
          }, MEASURE_MS)
    this.#timer?.unref()
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer ?? undefined)
    Atomics.store(this.#busy, 0, 0)
  }

  #measure(): void {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, this.#since)
    this.#since = now
    const isBusy = utilization >= BUSY_UTILIZATION
    this.#spentMs = isBusy
      ? Math.min(this.#spentMs + MEASURE_MS, BURST_MS_MAX)
      : Math.max(this.#spentMs - MEASURE_MS, 0)
    Atomics.store(this.#busy, 0, isBusy && this.#spentMs < BURST_MS_MAX ? 1 : 0)
  }
}

/** In the other thread: milliseconds to pause after a step. */
export function yieldMsOf(shared: SharedArrayBuffer): () => number {
  const busy = new Int32Array(shared)
  return () => Atomics.load(busy, 0) * YIELD_MS
}
