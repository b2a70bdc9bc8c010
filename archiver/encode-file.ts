/**
 * Brings a file of spooled rows into a data object's format. What would hold up the event loop for long runs in a thread,
 * which is this module again; zlib has its own threads. Partitions roll together, so the thread stays for the next file, in
 * which its code is compiled already, and ends a little later: an idle archiver has none.
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
const IDLE_MS_MAX = 10_000
const THREAD = 'hooktrail.encode-file'

const task = z.strictObject({
  from: z.string(),
  to: z.string(),
  format: z.enum(SEGMENT_FORMATS),
})
const encoded = z.strictObject({ size: z.int(), sha256: z.instanceof(Uint8Array) })

export type EncodeTask = z.infer<typeof task>

export interface EncodedFile {
  readonly size: number
  readonly sha256: Buffer
}

/** @throws the file system's error, or the encoder's; what was written by then is of no use */
export function encodeFile(given: EncodeTask): Promise<EncodedFile> {
  return codecOf(given.format).blocksThread ? encoder.encode(given) : encodeHere(given)
}

interface Thread {
  readonly worker: Worker
  /** Rejects when it ends. */
  readonly ended: Promise<never>
}

/** One file after another. */
class Encoder {
  #thread: Thread | null = null
  #last: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | undefined

  encode(given: EncodeTask): Promise<EncodedFile> {
    const encoding = this.#last.then(() => this.#encodeNext(given))
    // Whoever asked for that file is told.
    this.#last = encoding.catch(() => undefined)
    return encoding
  }

  async #encodeNext(given: EncodeTask): Promise<EncodedFile> {
    clearTimeout(this.#idle)
    const { worker, ended } = (this.#thread ??= startThread())
    worker.ref()
    try {
      const message = once(worker, 'message').then((args: unknown[]) => args[0])
      worker.postMessage(given)
      const { size, sha256 } = encoded.parse(await Promise.race([message, ended]))
      worker.unref()
      this.#idle = setTimeout(() => {
        this.#end(worker)
      }, IDLE_MS_MAX).unref()
      return { size, sha256: Buffer.from(sha256) }
    } catch (error) {
      this.#end(worker)
      throw error
    }
  }

  #end(worker: Worker): void {
    this.#thread = null
    void worker.terminate()
  }
}

const encoder = new Encoder()

function startThread(): Thread {
  const worker = new Worker(new URL(import.meta.url), {
    workerData: THREAD,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEBIBYTES_MAX, maxYoungGenerationSizeMb: YOUNG_MEBIBYTES },
  })
  const ended = once(worker, 'exit').then(() => assert.fail('the thread ended without a word'))
  // Waited for with each file only.
  ended.catch(() => undefined)
  return { worker, ended }
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

async function encodeForOwner(given: unknown): Promise<void> {
  parentPort?.postMessage(await encodeHere(task.parse(given)))
}

if (!isMainThread && workerData === THREAD)
  parentPort?.on('message', (given: unknown) => void encodeForOwner(given))
