/**
 * One handler's requests over undici: a bounded keep-alive pool of its own, so that no endpoint holds connections of
 * another; redirects are not followed; the whole request, body included, is under one timeout; of the response only
 * a bounded number of bytes is read.
 */
import { Pool } from 'undici'
import type { DeliveryRequest, Sender, SendResult } from '../../core/delivery/sender.ts'
import type { TlsConfig } from '../../core/config/config.ts'
import type { AllowPrivate } from '../../core/delivery/address-class.ts'
import type { AttemptTimings } from '../../core/ports/attempt-timings.ts'
import { createConnector, type ConnectTimings, type Resolve } from './connect-timings.ts'
import { Exchange } from './send-exchange.ts'
import { classifyError } from './send-error.ts'

export interface SenderOptions {
  readonly url: string
  readonly method: 'POST' | 'PUT' | 'PATCH'
  readonly timeoutMs: number
  readonly connectionsMax: number
  readonly allowPrivate: AllowPrivate
  /** Null: the system's certificates, no client certificate. */
  readonly tls: TlsConfig | null
  readonly bytesKept: { readonly ok: number; readonly failed: number }
  readonly monotonic: () => number
  /** Default: the system's. */
  readonly resolve?: Resolve
}

/** Below what most servers use, so that the idle connection is closed here first and not under a request. */
const KEEP_ALIVE_MS = 4_000
/** Connections whose timings no request has taken yet; more are forgotten. */
const CONNECTS_KEPT_MAX = 256

export function createSender(options: SenderOptions): Sender {
  return new HttpSender(options)
}

class HttpSender implements Sender {
  readonly #options: SenderOptions
  readonly #pool: Pool
  readonly #path: string
  readonly #open = new Set<Exchange>()
  readonly #connects: ConnectTimings[] = []
  #remoteAddress: string | null = null
  #closed = false

  constructor(options: SenderOptions) {
    this.#options = options
    const url = new URL(options.url)
    this.#path = url.pathname + url.search
    this.#pool = new Pool(url.origin, {
      connections: options.connectionsMax,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // The one total timeout rules; these only must not fire before it.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: createConnector({
        allowPrivate: options.allowPrivate,
        tls: options.tls,
        timeoutMs: options.timeoutMs,
        monotonic: options.monotonic,
        ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
        connected: (timings) => {
          this.#noteConnect(timings)
        },
      }),
    })
  }

  async send(request: DeliveryRequest): Promise<SendResult> {
    const { method, monotonic, timeoutMs } = this.#options
    const startedAt = monotonic()
    const exchange = new Exchange({ bytesKept: this.#options.bytesKept, monotonic })
    const timeout = { passed: false }
    const timer = setTimeout(() => {
      timeout.passed = true
      exchange.abort()
    }, timeoutMs)
    this.#open.add(exchange)
    try {
      const { headers, body } = request
      this.#pool.dispatch({ path: this.#path, method, headers, body }, exchange)
      const answer = await exchange.ended
      return { kind: 'response', ...answer, ...this.#evidence(startedAt, exchange.firstByteAt) }
    } catch (error) {
      const evidence = this.#evidence(startedAt, exchange.firstByteAt)
      if (timeout.passed) {
        const detail = `no answer within ${timeoutMs} ms`
        return { kind: 'failed', errorClass: 'timeout', detail, ...evidence }
      }
      if (this.#closed) return { kind: 'abandoned', ...evidence }
      return { kind: 'failed', ...classifyError(error), ...evidence }
    } finally {
      clearTimeout(timer)
      this.#open.delete(exchange)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const exchange of this.#open) exchange.abort()
    await this.#pool.destroy()
  }

  #noteConnect(timings: ConnectTimings): void {
    if (timings.remoteAddress !== null) this.#remoteAddress = timings.remoteAddress
    if (this.#connects.length < CONNECTS_KEPT_MAX) this.#connects.push(timings)
  }

  /** A connection belongs to a request that was already open when it began; on a kept one those times are null. */
  #evidence(
    startedAt: number,
    firstByteAt: number | null,
  ): { timings: AttemptTimings; remoteAddress: string | null } {
    const index = this.#connects.findIndex((connect) => connect.startedAt >= startedAt)
    const connect = index < 0 ? undefined : this.#connects.splice(0, index + 1)[index]
    return {
      timings: {
        totalMs: this.#options.monotonic() - startedAt,
        dnsMs: connect?.dnsMs ?? null,
        connectMs: connect?.connectMs ?? null,
        tlsMs: connect?.tlsMs ?? null,
        firstByteMs: firstByteAt === null ? null : firstByteAt - startedAt,
      },
      remoteAddress: connect?.remoteAddress ?? this.#remoteAddress,
    }
  }
}
