/**
 * The body of an answer as bytes: bounded while it is read, since a length can be wrong, and never waited for longer
 * than `idleMsMax`. A reader who pauses is not hurried: only the wait for the store is measured.
 */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { storeError } from './store-error.ts'

export interface ObjectBody {
  readonly key: string
  readonly stream: Readable
  readonly size: number
}

/** @param found what the SDK calls the body of an answer */
export function objectBody(key: string, found: unknown, size: number | undefined): ObjectBody {
  if (!(found instanceof Readable) || size === undefined)
    throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key, reason: 'an answer without a body' })
  return { key, stream: found, size }
}

/** @throws ARCHIVE_OBJECT_TOO_LARGE before more than `bytesMax` are held */
export async function readWhole({ key, stream, size }: ObjectBody, bytesMax: number): Promise<Buffer> {
  if (size > bytesMax) {
    stream.destroy()
    throw new HooktrailError('ARCHIVE_OBJECT_TOO_LARGE', { key, size, bytesMax })
  }
  const bytes = Buffer.allocUnsafe(size)
  let filled = 0
  for await (const chunk of chunksOf(stream)) {
    if (filled + chunk.length > size) throw wrongLength(key)
    bytes.set(chunk, filled)
    filled += chunk.length
  }
  if (filled !== size) throw wrongLength(key)
  return bytes
}

export async function* readChunks(
  { key, stream, size }: ObjectBody,
  idleMsMax: number,
): AsyncGenerator<Uint8Array> {
  const chunks = chunksOf(stream)[Symbol.asyncIterator]()
  let filled = 0
  try {
    for (;;) {
      const timer = setTimeout(() => stream.destroy(new Error(`no bytes for ${idleMsMax} ms`)), idleMsMax)
      const { done, value } = await chunks.next().finally(() => {
        clearTimeout(timer)
      })
      if (done === true) break
      filled += value.length
      yield value
    }
    if (filled !== size) throw wrongLength(key)
  } catch (error) {
    throw storeError(error, { key })
  } finally {
    stream.destroy()
  }
}

async function* chunksOf(stream: Readable): AsyncGenerator<Uint8Array, undefined> {
  for await (const chunk of stream) {
    assert(chunk instanceof Uint8Array, 'a body is bytes')
    yield chunk
  }
}

function wrongLength(key: string): HooktrailError {
  return new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', {
    key,
    reason: 'the body has another length than announced',
  })
}
