/**
 * Self-clocking batches: an item goes at once when a slot is free, else it waits for the batch that leaves when one
 * returns, so an idle system adds no latency and a loaded one forms large batches by itself. Where a batch costs much
 * beside its items, a pause behind each lets them grow at rates in between. The caller awaits its own item's result.
 * Bounded: `push` throws synchronously when `pendingMax` items wait.
 */
export interface BatcherOptions<I, O> {
  /** Runs one batch; results in the order of the items. A rejection rejects each item of the batch. */
  readonly run: (items: readonly I[]) => Promise<readonly O[]>
  readonly itemsMax: number
  readonly inFlightMax: number
  readonly pendingMax: number
  /** Weight of an item; a batch closes before it exceeds `weightMax` (one item always fits). */
  readonly weight?: (item: I) => number
  readonly weightMax?: number
  /** Asked with the items of each batch that leaves; no other leaves before what it returns has resolved. Null: at once. */
  readonly pause?: (items: number) => Promise<void> | null
}

export class BatcherFullError extends Error {
  override readonly name = 'BatcherFullError'
}

interface Waiting<I, O> {
  readonly item: I
  readonly resolve: (value: O) => void
  readonly reject: (reason: unknown) => void
}

export class Batcher<I, O> {
  readonly #options: BatcherOptions<I, O>
  #waiting: Waiting<I, O>[] = []
  #inFlight = 0
  #isPausing = false
  #idle: PromiseWithResolvers<void> | null = null

  constructor(options: BatcherOptions<I, O>) {
    this.#options = options
  }

  get pending(): number {
    return this.#waiting.length
  }

  push(item: I): Promise<O> {
    if (this.#waiting.length >= this.#options.pendingMax) throw new BatcherFullError('batcher is full')
    const { promise, resolve, reject } = Promise.withResolvers<O>()
    this.#waiting.push({ item, resolve, reject })
    // One turn of the event loop lets items that arrive together share a batch.
    if (this.#waiting.length === 1)
      setImmediate(() => {
        this.#pump()
      })
    return promise
  }

  /** Resolves when nothing waits and nothing is in flight. */
  async drained(): Promise<void> {
    if (this.#inFlight === 0 && this.#waiting.length === 0) return
    this.#idle ??= Promise.withResolvers<void>()
    await this.#idle.promise
  }

  #pump(): void {
    while (!this.#isPausing && this.#inFlight < this.#options.inFlightMax && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#batchLength())
      void this.#runBatch(batch)
      this.#pauseBehind(batch.length)
    }
    if (this.#inFlight === 0 && this.#waiting.length === 0) {
      this.#idle?.resolve()
      this.#idle = null
    }
  }

  #pauseBehind(items: number): void {
    const pause = this.#options.pause?.(items) ?? null
    if (pause === null) return
    this.#isPausing = true
    void pause.then(() => {
      this.#isPausing = false
      this.#pump()
    })
  }

  #batchLength(): number {
    const { itemsMax, weight, weightMax } = this.#options
    const most = Math.min(itemsMax, this.#waiting.length)
    if (weight === undefined || weightMax === undefined) return most
    let total = 0
    for (let length = 0; length < most; length++) {
      const waiting = this.#waiting[length]
      if (waiting === undefined) return length
      total += weight(waiting.item)
      if (total > weightMax && length > 0) return length
    }
    return most
  }

  async #runBatch(batch: readonly Waiting<I, O>[]): Promise<void> {
    this.#inFlight++
    try {
      const results = await this.#options.run(batch.map(({ item }) => item))
      batch.forEach(({ resolve, reject }, index) => {
        const result = results[index]
        if (result === undefined && index >= results.length)
          reject(new Error('batch returned too few results'))
        else resolve(result as O)
      })
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      this.#inFlight--
      this.#pump()
    }
  }
}
