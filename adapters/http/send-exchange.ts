/**
 * One request's way through undici's dispatcher: collects what an attempt keeps of the answer, without the streams,
 * signals and hooks of the driver's larger calls. Ends exactly once, whoever is first: answer, error or abort.
 */
import type { Dispatcher } from 'undici'

/** A longer body ends the connection: reading it on would cost more than a new one. */
const RESPONSE_BYTES_READ_MAX = 64 * 1024

export interface Answer {
  readonly statusCode: number
  readonly retryAfter: string | null
  readonly body: Buffer | null
}

export interface ExchangeOptions {
  readonly bytesKept: { readonly ok: number; readonly failed: number }
  readonly monotonic: () => number
}

export class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions
  readonly #ended = Promise.withResolvers<Answer>()
  #controller: Dispatcher.DispatchController | null = null
  #aborted = false
  #statusCode = 0
  #retryAfter: string | null = null
  #bytesMax = 0
  #bytesRead = 0
  #chunks: Buffer[] = []
  firstByteAt: number | null = null

  constructor(options: ExchangeOptions) {
    this.#options = options
  }

  /** Rejects with the driver's error, or when it was aborted. */
  get ended(): Promise<Answer> {
    return this.#ended.promise
  }

  /** A request that has not left yet never will. */
  abort(): void {
    this.#aborted = true
    const reason = new Error('aborted')
    this.#controller?.abort(reason)
    this.#ended.reject(reason)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#aborted) controller.abort(new Error('aborted'))
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    statusCode: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    // 1xx only announce the answer.
    if (statusCode < 200) return
    const { bytesKept, monotonic } = this.#options
    this.firstByteAt = monotonic()
    this.#statusCode = statusCode
    const retryAfter = headers['retry-after']
    this.#retryAfter = typeof retryAfter === 'string' ? retryAfter : null
    this.#bytesMax = statusCode < 300 ? bytesKept.ok : bytesKept.failed
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    // Copied: a chunk is a slice of the connection's whole read buffer.
    if (this.#bytesRead < this.#bytesMax)
      this.#chunks.push(Buffer.from(chunk.subarray(0, this.#bytesMax - this.#bytesRead)))
    this.#bytesRead += chunk.length
    if (this.#bytesRead <= RESPONSE_BYTES_READ_MAX) return
    this.#finish()
    controller.abort(new Error('the rest of the answer is not read'))
  }

  onResponseEnd(): void {
    this.#finish()
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#ended.reject(error)
  }

  #finish(): void {
    const body = this.#chunks.length === 0 ? null : Buffer.concat(this.#chunks)
    this.#ended.resolve({ statusCode: this.#statusCode, retryAfter: this.#retryAfter, body })
  }
}
