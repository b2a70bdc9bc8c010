/**
 * Decodes an object that no signature vouches for yet. In some formats a few bytes may ask for any amount of memory or
 * time, so those are read in a process of its own, which is this module again, with nothing of ours in its environment:
 * whoever wrote the object stops no more than its adoption. A thread would not do: a heap that overflows at once ends
 * the process. One that dies early never passes for an end.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { codecOf } from '../core/archive/format/segment-codec.ts'
import { SEGMENT_FORMATS, type SegmentFormat } from '../core/archive/manifest.ts'
import type { Clock } from '../core/clock.ts'
import { within } from '../core/deadline.ts'
import { HooktrailError } from '../core/error/hooktrail-error.ts'
import { messageOf } from '../core/error/message-of.ts'

/** Of its heap: a row group as values and as lines, with room for events of the largest size. */
const HEAP_MEBIBYTES_MAX = 512
/** Between two chunks of rows. A row group takes a fraction of a second. */
const SILENCE_MS_MAX = 120_000

/** A stream from the object's bytes to JSON lines; fails where the object cannot be read to its end within the bounds. */
export function decodeObject(format: SegmentFormat, clock: Pick<Clock, 'sleep'>): Duplex {
  const { blocksThread, decode } = codecOf(format)
  if (!blocksThread) return decode()
  return Duplex.from((bytes: AsyncIterable<Buffer>) => decodeApart(bytes, format, clock))
}

async function* decodeApart(
  bytes: AsyncIterable<Buffer>,
  format: SegmentFormat,
  clock: Pick<Clock, 'sleep'>,
): AsyncGenerator<Buffer> {
  const heap = `--max-old-space-size=${HEAP_MEBIBYTES_MAX}`
  const args = [heap, import.meta.filename, format]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'], env: {} })
  const ended = once(child, 'exit')
  ended.catch(() => undefined)
  try {
    await started(child)
    await pipeline(bytes, child.stdin)
    const chunks: AsyncIterator<Buffer> = child.stdout[Symbol.asyncIterator]()
    for (;;) {
      const next = await within(() => chunks.next(), { ms: SILENCE_MS_MAX, clock })
      if (next === null) throw new Error(`no row within ${SILENCE_MS_MAX} ms`)
      if (next.value.done === true) break
      yield next.value.value
    }
    const how: unknown[] = await ended
    if (how[0] !== 0) throw new Error(`its reader ended with ${how.join(' ')}`)
  } finally {
    child.kill('SIGKILL')
  }
}

/** That the machine has no room for a process says nothing of the object. @throws ARCHIVE_STORE_UNAVAILABLE */
async function started(child: ChildProcess): Promise<void> {
  try {
    await once(child, 'spawn')
  } catch (error) {
    throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { reason: messageOf(error) }, error)
  }
}

if (process.argv[1] === import.meta.filename) {
  const format = z.enum(SEGMENT_FORMATS).parse(process.argv[2])
  await pipeline(process.stdin, codecOf(format).decode(), process.stdout)
}
