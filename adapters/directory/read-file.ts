/** Opens the archive's files for reading. What took a file's place after it was looked at is not followed, and does not block. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { storeError } from './store-error.ts'

const CHUNK_BYTES_MAX = 256 * 1024
/** Of the first chunk, each next is as long as all before: most objects are small, and what is not filled costs as much. */
const CHUNK_BYTES_MIN = 16 * 1024
/** A file that ended within a chunk seldom goes on. */
const END_BYTES = 1024
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export function openFile(file: string): Promise<FileHandle> {
  return open(file, READ_FLAGS)
}

export async function* readChunks(file: string, key: string): AsyncGenerator<Uint8Array> {
  try {
    await using handle = await openFile(file)
    let length = CHUNK_BYTES_MIN
    for (;;) {
      const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(length), 0, length)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
      length =
        bytesRead < length ? END_BYTES : Math.min(2 * Math.max(length, CHUNK_BYTES_MIN), CHUNK_BYTES_MAX)
    }
  } catch (error) {
    throw storeError(error, key)
  }
}
