/**
 * One call to the store: bounded by one deadline over all its attempts, repeated a few times where the store says
 * "later" or the connection broke. A lost answer is repeated as well: a create that had landed then reads as refused by
 * its condition, which is what callers adopt. Going on for ever is the callers' loop.
 */
import type { S3Client } from '@aws-sdk/client-s3'
import { isTransient, reasonOf, storeError } from './store-error.ts'
import type { S3StoreOptions } from './open-client.ts'

/** What every request of one store needs. */
export interface S3Context {
  readonly client: S3Client
  readonly options: S3StoreOptions
  /** In front of each key: empty, or with its slash. */
  readonly folder: string
}

export interface Call {
  /** For people, in the error. */
  readonly key: string
  /** Bytes to send or to receive, at most. */
  readonly bytes?: number
}

const ATTEMPTS_MAX = 4
/** Doubles with each attempt. */
const RETRY_MS_MIN = 100
/** Slower than this a connection is of no use to an archiver: 256 KB/s. */
const BYTES_PER_MS_MIN = 256

/** @throws HooktrailError alone */
export async function request<T>(
  { options }: S3Context,
  call: Call,
  send: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timeoutMs = options.requestTimeoutMs + Math.ceil((call.bytes ?? 0) / BYTES_PER_MS_MIN)
  const deadline = new AbortController()
  const timer = setTimeout(() => {
    deadline.abort()
  }, timeoutMs)
  try {
    return await repeat(options, deadline.signal, send)
  } catch (error) {
    const timedOutAfterMs = deadline.signal.aborted ? timeoutMs : undefined
    throw storeError(error, { key: call.key, store: storeName(options), timedOutAfterMs })
  } finally {
    clearTimeout(timer)
  }
}

/** Which store was asked is what people get wrong most. */
function storeName({ bucket, endpoint, region }: S3StoreOptions): string {
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
