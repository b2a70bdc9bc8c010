/**
 * Reads a request's raw bytes and counts them itself: with a wrong, missing or chunked length nothing is ever cut
 * silently. How long a body may take is node's `requestTimeout`, a server option: it answers 408 and closes a connection
 * whose request has not arrived whole by then, so slow senders cannot hold connections. (`headersTimeout` must not be
 * the longer of the two: node swaps them then.)
 */
import type { IncomingMessage } from 'node:http'

export type BodyResult =
  | { readonly kind: 'body'; readonly body: Buffer }
  | { readonly kind: 'too-large'; readonly readBytes: number }
  | { readonly kind: 'no-room' }
  | { readonly kind: 'incomplete' }

export interface BodyLimits {
  readonly bytesMax: number
  /** Told of each chunk's size as it comes; false: there is no room. What was reserved is given back by the caller. */
  readonly reserve: (bytes: number) => boolean
}

const EMPTY = Buffer.alloc(0)
/** A sender that is answered early may finish what it is sending, up to here; then the connection is closed. */
const DRAINED_BYTES_MAX = 16 * 1024 * 1024

/** Calls `done` exactly once. */
export function readBody(raw: IncomingMessage, limits: BodyLimits, done: (result: BodyResult) => void): void {
  if (Number(raw.headers['content-length']) > limits.bytesMax) {
    done({ kind: 'too-large', readBytes: 0 })
    drain(raw)
    return
  }
  let chunks: Buffer[] | null = []
  let total = 0
  const finish = (result: BodyResult): void => {
    if (chunks === null) return
    chunks = null
    done(result)
  }
  raw.on('data', (chunk: Buffer) => {
    if (chunks === null) return
    total += chunk.length
    chunks.push(chunk)
    const result = judge(chunk.length, total, limits)
    if (result === null) return
    finish(result)
    drain(raw)
  })
  raw.on('end', () => {
    const [only = EMPTY] = chunks ?? []
    finish({ kind: 'body', body: chunks !== null && chunks.length > 1 ? Buffer.concat(chunks, total) : only })
  })
  const broken = (): void => {
    finish({ kind: 'incomplete' })
  }
  raw.on('error', broken)
  raw.on('close', broken)
}

function judge(bytes: number, readBytes: number, { bytesMax, reserve }: BodyLimits): BodyResult | null {
  if (readBytes > bytesMax) return { kind: 'too-large', readBytes }
  return reserve(bytes) ? null : { kind: 'no-room' }
}

/** Takes in, and forgets, what a sender still sends after its answer, so that it gets to read the answer. */
export function drain(raw: IncomingMessage): void {
  let total = 0
  raw.on('data', (chunk: Buffer) => {
    total += chunk.length
    if (total > DRAINED_BYTES_MAX) raw.destroy()
  })
}
