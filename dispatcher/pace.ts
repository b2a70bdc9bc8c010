/**
 * How long a loop waits between pieces of work that were small, so that work grows into batches while there is much
 * of it. Pieces of one or two records mean that little comes in: those go at once. The pause is bounded, and so is
 * what it adds to the lag; full pieces are never held up.
 */
export interface PaceOptions {
  /** A piece of so many items is worth its costs: the pause grows no further. */
  readonly enough: number
  readonly pauseMsMax: number
}

const PAUSE_MS_MIN = 4
/** Up to so many items a piece counts as idle traffic. */
const FEW_ITEMS = 2

export class Pace {
  readonly #options: PaceOptions
  #pauseMs = 0

  constructor(options: PaceOptions) {
    this.#options = options
  }

  /** Takes how many items the last piece had; returns the milliseconds until the next. */
  next(items: number): number {
    const { enough, pauseMsMax } = this.#options
    if (items <= FEW_ITEMS) this.#pauseMs = this.#pauseMs < 2 * PAUSE_MS_MIN ? 0 : this.#pauseMs / 2
    else if (items < enough) this.#pauseMs = Math.min(pauseMsMax, Math.max(PAUSE_MS_MIN, 2 * this.#pauseMs))
    else if (items >= 2 * enough) this.#pauseMs = 0
    return this.#pauseMs
  }
}
