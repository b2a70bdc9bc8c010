/**
 * How many jobs of one handler may be under way. A slot is taken before a job is, so that no job waits, leased, for
 * its turn. Outcomes that wait for the store keep counting, up to a bound of their own.
 */
export class Slots {
  #max: number
  #used = 0
  #changed: PromiseWithResolvers<void> | null = null

  constructor(max: number) {
    this.#max = max
  }

  /** Below zero while more are used than a smaller bound allows. */
  get free(): number {
    return this.#max - this.#used
  }

  get used(): number {
    return this.#used
  }

  take(): void {
    this.#used++
  }

  release(): void {
    this.#used--
    this.#wake()
  }

  /** What is used beyond a smaller bound ends by itself. */
  resize(max: number): void {
    this.#max = max
    this.#wake()
  }

  /** Resolves when a slot is free, or `signal` aborts. */
  async untilFree(signal: AbortSignal): Promise<void> {
    await this.#until(() => this.free > 0, signal)
  }

  /** Resolves when none is used, or `signal` aborts. */
  async untilIdle(signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#used === 0, signal)
  }

  #wake(): void {
    this.#changed?.resolve()
    this.#changed = null
  }

  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    while (!condition() && !signal.aborted) {
      this.#changed ??= Promise.withResolvers()
      const changed = this.#changed
      const abort = (): void => {
        changed.resolve()
      }
      signal.addEventListener('abort', abort, { once: true })
      await changed.promise
      signal.removeEventListener('abort', abort)
    }
  }
}
