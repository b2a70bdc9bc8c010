/**
 * Brings a file of spooled rows into a data object's format. What would hold up the event loop for long runs in a thread of
 * its own, which is this module again; zlib has its own threads. A thread ends with its file, so an idle archiver has none.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { z } from 'zod'
import { codecOf } from '../core/archive/format/segment-codec.ts'
import { SEGMENT_FORMATS } from '../core/archive/manifest.ts'

const CHUNK_BYTES = 256 * 1024
/** Of the thread's heap: some row groups and a footer, with room for events of the largest size. */
const HEAP_MEBIBYTES_MAX = 1024
/** A row group lives only until it is written: collecting it early would copy it. */
const YOUNG_MEBIBYTES = 48
const THREAD = 'hooktrail.encode-file'

const task = z.strictObject({
  thread: z.literal(THREAD),
  from: z.string(),
  to: z.string(),
  format: z.enum(SEGMENT_FORMATS),
})
const encoded = z.strictObject({ size: z.int(), sha256: z.instanceof(Uint8Array) })

export type EncodeTask = Omit<z.infer<typeof task>, 'thread'>

export interface EncodedFile {
  readonly size: number
  readonly sha256: Buffer
}

/** @throws the file system's error, or the encoder's; what was written by then is of no use */
export function encodeFile(given: EncodeTask): Promise<EncodedFile> {
  return codecOf(given.format).blocksThread ? encodeInThread(given) : encodeHere(given)
}

async function encodeInThread(given: EncodeTask): Promise<EncodedFile> {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { thread: THREAD, ...given },
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEBIBYTES_MAX, maxYoungGenerationSizeMb: YOUNG_MEBIBYTES },
  })
  // An error in the thread rejects both.
  const silent = once(worker, 'exit').then(() => assert.fail('the thread ended without a word'))
  const message = once(worker, 'message').then((args: unknown[]) => args[0])
  const { size, sha256 } = encoded.parse(await Promise.race([message, silent]))
  return { size, sha256: Buffer.from(sha256) }
}

async function encodeHere({ from, to, format }: EncodeTask): Promise<EncodedFile> {
  const digest = createHash('sha256')
  let size = 0
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done): void {
      digest.update(chunk)
      size += chunk.length
      done(null, chunk)
    },
  })
  await pipeline(
    createReadStream(from, { highWaterMark: CHUNK_BYTES }),
    codecOf(format).encode(),
    meter,
    createWriteStream(to, { mode: 0o600 }),
  )
  return { size, sha256: digest.digest() }
}

const given = isMainThread ? null : task.safeParse(workerData)
if (given?.success === true) parentPort?.postMessage(await encodeHere(given.data))
