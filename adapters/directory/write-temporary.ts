/**
 * Writes an object's bytes to a file of its own below tmp/, checks their SHA-256 on the way and makes them durable.
 * The name is random, so any number of writers work side by side; what a killed one leaves is swept at a later start.
 */
import { createHash, randomBytes } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
import path from 'node:path'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { NewObject } from '../../core/ports/archive-store.ts'

const COPY_BYTES = 1024 * 1024
/** Readable by all, writable by nobody: an object never changes. */
const OBJECT_MODE = 0o444

/** Opens a fresh file that only its writer knows. @returns the path; the caller unlinks it whatever happens. */
export function temporaryPath(folder: string): string {
  return path.join(folder, randomBytes(16).toString('hex'))
}

/** @throws ARCHIVE_DIGEST_MISMATCH when the bytes are not the announced ones; errors of the file system as they are */
export async function writeTemporary(file: string, object: NewObject): Promise<void> {
  await using handle = await open(file, 'wx', OBJECT_MODE)
  const digest = createHash('sha256')
  for await (const bytes of bodyOf(object)) {
    digest.update(bytes)
    await writeAll(handle, bytes)
  }
  if (!digest.digest().equals(object.sha256)) {
    throw new HooktrailError('ARCHIVE_DIGEST_MISMATCH', { key: object.key })
  }
  // The mode given to open is cut by the umask; and before the sync, so that it is as durable as the bytes.
  await handle.chmod(OBJECT_MODE)
  await handle.sync()
}

async function* bodyOf({ body, key }: NewObject): AsyncGenerator<Buffer> {
  if (Buffer.isBuffer(body)) {
    yield body
    return
  }
  await using handle = await open(body.path, 'r')
  const chunk = Buffer.allocUnsafe(Math.min(COPY_BYTES, Math.max(body.size, 1)))
  for (let done = 0; done < body.size;) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(chunk.length, body.size - done), done)
    if (bytesRead === 0)
      throw new HooktrailError('ARCHIVE_DIGEST_MISMATCH', { key, reason: 'the file is shorter' })
    yield chunk.subarray(0, bytesRead)
    done += bytesRead
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done)
    done += bytesWritten
  }
}
