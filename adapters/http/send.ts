/**
 * One handler's requests over undici: a bounded keep-alive pool of its own, so that no endpoint holds connections of
 * another; redirects are not followed; the whole request, body included, is under one timeout; of the response only
 * a bounded number of bytes is read.
 */
import { Agent, request as sendRequest, type Dispatcher } from 'undici'
import type { DeliveryRequest, Sender, SendResult } from '../../core/delivery/sender.ts'
import type { AllowPrivate } from '../../core/delivery/address-class.ts'
import type { AttemptTimings } from '../../core/ports/job-store.ts'
import { createConnector, type ConnectTimings } from './connect-timings.ts'
import { classifyError } from './send-error.ts'

export interface SenderOptions {
  readonly url: string
  readonly method: 'POST' | 'PUT' | 'PATCH'
  readonly timeoutMs: number
  readonly connectionsMax: number
  readonly allowPrivate: AllowPrivate
  readonly bytesKept: { readonly ok: number; readonly failed: number }
  readonly monotonic: () => number
}

/** Below what most servers use, so that the idle connection is closed here first and not under a request. */
const KEEP_ALIVE_MS = 4_000
/** A longer body ends the connection: reading it on would cost more than a new one. */
const RESPONSE_BYTES_READ_MAX = 64 * 1024
/** Connections whose timings no request has taken yet; more are forgotten. */
const CONNECTS_KEPT_MAX = 256

export function createSender(options: SenderOptions): Sender {
  return new HttpSender(options)
}

class HttpSender implements Sender {
  readonly #options: SenderOptions
  readonly #agent: Agent
  readonly #origin: string
  readonly #path: string
  readonly #open = new Set<AbortController>()
  readonly #connects: ConnectTimings[] = []
  #remoteAddress: string | null = null
  #closed = false

  constructor(options: SenderOptions) {
    this.#options = options
    const url = new URL(options.url)
    this.#origin = url.origin
    this.#path = url.pathname + url.search
    this.#agent = new Agent({
      connections: options.connectionsMax,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // The one total timeout rules; these only must not fire before it.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: createConnector({
        allowPrivate: options.allowPrivate,
        timeoutMs: options.timeoutMs,
        monotonic: options.monotonic,
        connected: (timings) => {
          this.#noteConnect(timings)
        },
      }),
    })
  }

  async send(request: DeliveryRequest): Promise<SendResult> {
    const startedAt = this.#options.monotonic()
    const abort = new AbortController()
    const timeout = { passed: false }
    const timer = setTimeout(() => {
      timeout.passed = true
      abort.abort()
    }, this.#options.timeoutMs)
    this.#open.add(abort)
    let firstByteMs: number | null = null
    try {
      const response = await sendRequest(`${this.#origin}${this.#path}`, {
        method: this.#options.method,
        headers: request.headers,
        body: request.body,
        dispatcher: this.#agent,
        signal: abort.signal,
      })
      firstByteMs = this.#options.monotonic() - startedAt
      const body = await this.#readBody(response)
      const retryAfter = response.headers['retry-after']
      return {
        kind: 'response',
        statusCode: response.statusCode,
        retryAfter: typeof retryAfter === 'string' ? retryAfter : null,
        body,
        ...this.#evidence(startedAt, firstByteMs),
      }
    } catch (error) {
      const evidence = this.#evidence(startedAt, firstByteMs)
      if (timeout.passed) {
        const detail = `no answer within ${this.#options.timeoutMs} ms`
        return { kind: 'failed', errorClass: 'timeout', detail, ...evidence }
      }
      if (this.#closed) return { kind: 'abandoned', ...evidence }
      return { kind: 'failed', ...classifyError(error), ...evidence }
    } finally {
      clearTimeout(timer)
      this.#open.delete(abort)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const abort of this.#open) abort.abort()
    await this.#agent.destroy()
  }

  async #readBody(response: Dispatcher.ResponseData): Promise<Buffer | null> {
    const { ok, failed } = this.#options.bytesKept
    const bytesMax = response.statusCode >= 200 && response.statusCode < 300 ? ok : failed
    if (bytesMax === 0) {
      await response.body.dump({ limit: RESPONSE_BYTES_READ_MAX })
      return null
    }
    const chunks: Buffer[] = []
    let bytesRead = 0
    for await (const chunk of response.body) {
      if (!Buffer.isBuffer(chunk)) continue
      if (bytesRead < bytesMax) chunks.push(chunk)
      bytesRead += chunk.length
      // Leaving the loop destroys the body, and with it the connection.
      if (bytesRead > RESPONSE_BYTES_READ_MAX) break
    }
    return chunks.length === 0 ? null : Buffer.concat(chunks).subarray(0, bytesMax)
  }

  #noteConnect(timings: ConnectTimings): void {
    if (timings.remoteAddress !== null) this.#remoteAddress = timings.remoteAddress
    if (this.#connects.length < CONNECTS_KEPT_MAX) this.#connects.push(timings)
  }

  /** A connection belongs to a request that was already open when it began; on a kept one those times are null. */
  #evidence(
    startedAt: number,
    firstByteMs: number | null,
  ): { timings: AttemptTimings; remoteAddress: string | null } {
    const index = this.#connects.findIndex((connect) => connect.startedAt >= startedAt)
    const connect = index < 0 ? undefined : this.#connects.splice(0, index + 1)[index]
    return {
      timings: {
        totalMs: this.#options.monotonic() - startedAt,
        dnsMs: connect?.dnsMs ?? null,
        connectMs: connect?.connectMs ?? null,
        tlsMs: connect?.tlsMs ?? null,
        firstByteMs,
      },
      remoteAddress: connect?.remoteAddress ?? this.#remoteAddress,
    }
  }
}
