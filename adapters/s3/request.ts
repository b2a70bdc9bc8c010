/**
 * One call to the store: bounded by one deadline over all its attempts, repeated a few times where the store says
 * "later" or the connection broke. A lost answer is repeated as well: a create that had landed then reads as refused by
 * its condition, which is what callers adopt. Going on for ever is the callers' loop. While the process stops, the first
 * call without an answer ends all others: what is not archived stays in the log.
 */
import type { S3Client } from '@aws-sdk/client-s3'
import { isTransient, reasonOf, storeError } from './store-error.ts'
import { REQUEST_TIMEOUT_MS, type S3StoreOptions } from './open-client.ts'

/** What every request of one store needs. */
export interface S3Context {
  readonly client: S3Client
  readonly options: S3StoreOptions
  /** In front of each key: empty, or with its slash. */
  readonly folder: string
  /** Aborted by the first call that is not answered while the process stops, and when the store is closed. */
  readonly givenUp: AbortController
}

export interface Call {
  /** For people, in the error. */
  readonly key: string
  /** Bytes to send or to receive, at most. */
  readonly bytes?: number
}

/** Whatever its bytes: an upload that takes longer is done again after the next start. */
const STOPPING_MS_MAX = 10_000
const ATTEMPTS_MAX = 4
/** Doubles with each attempt. */
const RETRY_MS_MIN = 100
/** Slower than this a connection is of no use to an archiver: 256 KB/s. */
const BYTES_PER_MS_MIN = 256

/** @throws HooktrailError alone */
export async function request<T>(
  { options, givenUp }: S3Context,
  call: Call,
  send: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeoutMs =
    (options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS) + Math.ceil((call.bytes ?? 0) / BYTES_PER_MS_MIN)
  const deadline = new AbortController()
  const timer = setTimeout(() => {
    deadline.abort()
  }, timeoutMs)
  const settled = hurryWhenStopping(options.stopping, givenUp)
  try {
    return await repeat(options, AbortSignal.any([deadline.signal, givenUp.signal]), send)
  } catch (error) {
    const stoppedAfterMs = givenUp.signal.aborted ? STOPPING_MS_MAX : undefined
    const timedOutAfterMs = stoppedAfterMs ?? (deadline.signal.aborted ? timeoutMs : undefined)
    throw storeError(error, { key: call.key, store: storeName(options), timedOutAfterMs })
  } finally {
    clearTimeout(timer)
    settled()
  }
}

/** Aborts `givenUp` so long after the stop began, or from now when it has begun; not any more once the result is called. */
function hurryWhenStopping(stopping: AbortSignal | undefined, givenUp: AbortController): () => void {
  let timer: NodeJS.Timeout | undefined
  const begin = (): void => {
    timer = setTimeout(() => {
      givenUp.abort()
    }, STOPPING_MS_MAX)
  }
  if (stopping?.aborted === true) begin()
  else stopping?.addEventListener('abort', begin, { once: true })
  return () => {
    clearTimeout(timer)
    stopping?.removeEventListener('abort', begin)
  }
}

/** Which store was asked is what people get wrong most. */
export function storeName({ bucket, endpoint, region }: S3StoreOptions): string {
  return `bucket ${bucket} at ${endpoint ?? `Amazon S3, region ${region}`}`
}

async function repeat<T>(
  { clock, logger }: S3StoreOptions,
  signal: AbortSignal,
  send: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(signal)
    } catch (error) {
      if (attempt === ATTEMPTS_MAX || signal.aborted || !isTransient(error)) throw error
      logger.debug({ attempt, reason: reasonOf(error) }, 'the archive store is asked again')
      await clock.sleep(RETRY_MS_MIN * 2 ** (attempt - 1), signal)
    }
  }
}
