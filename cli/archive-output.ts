/** Data on stdout for the archive commands: waits while the reader is slow, ends quietly when the reader has gone. */
import { once } from 'node:events'

export class DataOutput {
  readonly #stop = new AbortController()

  constructor() {
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      // `| head` closes the pipe: nobody wants the rest, which is no fault.
      if (error.code !== 'EPIPE') process.exitCode = 74
      this.#stop.abort()
    })
  }

  /** Aborts when nobody reads any more. */
  get signal(): AbortSignal {
    return this.#stop.signal
  }

  write(text: string): Promise<void> | undefined {
    if (this.#stop.signal.aborted || process.stdout.write(text)) return undefined
    return once(process.stdout, 'drain', { signal: this.#stop.signal }).then(
      () => undefined,
      (error: unknown) => {
        if (!this.#stop.signal.aborted) throw error
      },
    )
  }
}
