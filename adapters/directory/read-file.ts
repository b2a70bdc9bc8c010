/** Opens the archive's files for reading. What took a file's place after it was looked at is not followed, and does not block. */
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { storeError } from './store-error.ts'

const READ_CHUNK_BYTES = 256 * 1024
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

export function openFile(file: string): Promise<FileHandle> {
  return open(file, READ_FLAGS)
}

export async function* readChunks(file: string, key: string): AsyncGenerator<Uint8Array> {
  try {
    await using handle = await openFile(file)
    for (;;) {
      const { bytesRead, buffer } = await handle.read(
        Buffer.allocUnsafe(READ_CHUNK_BYTES),
        0,
        READ_CHUNK_BYTES,
      )
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    throw storeError(error, key)
  }
}
