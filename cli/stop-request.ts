/**
 * SIGTERM, SIGINT or SIGHUP as one request to stop. Ctrl-C reaches a whole process group and npm passes it on besides, so
 * what follows within a second is the same request; what comes later forces the end.
 */
const EXIT_FORCED = 130
const SAME_REQUEST_MS = 1_000
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

export interface StopRequest extends Disposable {
  readonly signal: AbortSignal
  /** Resolves with the name of the signal. */
  readonly asked: Promise<string>
}

export function catchStop(): StopRequest {
  const { promise, resolve } = Promise.withResolvers<string>()
  const controller = new AbortController()
  let askedAtMs: number | null = null
  const onSignal = (signal: string): void => {
    const nowMs = performance.now()
    askedAtMs ??= nowMs
    if (nowMs - askedAtMs > SAME_REQUEST_MS) process.exit(EXIT_FORCED)
    controller.abort()
    resolve(signal)
  }
  for (const signal of SIGNALS) process.on(signal, onSignal)
  return {
    signal: controller.signal,
    asked: promise,
    // The handlers stay: a signal that comes while the last things are given back must not end the process midway.
    [Symbol.dispose]: () => {
      controller.abort()
    },
  }
}
