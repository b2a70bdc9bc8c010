/**
 * Whether the log behind an archiver that runs may be another one by now: a log that travels with its database is put back
 * by whoever puts that back, and a copy that lagged may have grown past what was read before anybody looks. Raised by each
 * connection that was lost and each read that failed; settled by whoever compared a record.
 */
export class LogDoubt {
  readonly #losses: () => number
  #raised = 0
  #settled = 0

  /** @param losses how many connections were lost so far; absent where a log cannot be put back */
  constructor(losses: (() => number) | undefined) {
    this.#losses = losses ?? (() => 0)
    this.#settled = this.level
  }

  get level(): number {
    return this.#raised + this.#losses()
  }

  get stands(): boolean {
    return this.level !== this.#settled
  }

  raise(): void {
    this.#raised += 1
  }

  /** @param level before it was compared */
  settle(level: number): void {
    this.#settled = level
  }
}
