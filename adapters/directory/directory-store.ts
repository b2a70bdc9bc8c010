/**
 * The archive in a folder (archive.md §10). link(2) to the final name is the compare-and-swap: it fails when the name
 * exists, and the file behind it is whole and synced before it gets the name. There is no lock against deletion here:
 * the folder's owner is trusted (`worm: off`).
 */
import { link, stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { Logger } from '../../core/log.ts'
import type { ArchiveStore, NewObject, ObjectHead } from '../../core/ports/archive-store.ts'
import { makeDurableFolder, syncFolder } from './durable-folder.ts'
import { listObjects, objectHead } from './list-objects.ts'
import { objectPath, TMP_FOLDER } from './object-path.ts'
import { openFile, readChunks } from './read-file.ts'
import { errnoOf } from '../system/errno.ts'
import { isMissing, storeError } from './store-error.ts'
import { sweepTemporary } from './sweep-temporary.ts'
import { temporaryPath, writeTemporary } from './write-temporary.ts'

export interface DirectoryStoreDeps {
  readonly clock: Clock
  readonly logger: Logger
}

/** Creates the folder when it is missing. @throws ARCHIVE_STORE_FULL, ARCHIVE_STORE_UNAVAILABLE */
export async function openDirectoryStore(root: string, deps: DirectoryStoreDeps): Promise<ArchiveStore> {
  const absolute = path.resolve(root)
  const tmp = path.join(absolute, TMP_FOLDER)
  try {
    await makeDurableFolder(tmp)
    const removed = await sweepTemporary(tmp, deps.clock.now())
    if (removed > 0) deps.logger.info({ removed, folder: tmp }, 'removed unfinished archive objects')
  } catch (error) {
    throw storeError(error, TMP_FOLDER)
  }
  return new DirectoryStore(absolute)
}

/** For commands that only look: creates nothing, so a read-only copy will do. @throws ARCHIVE_NOT_FOUND */
export async function openDirectoryForReading(root: string): Promise<ArchiveStore> {
  const absolute = path.resolve(root)
  const found = await stat(absolute).catch((error: unknown) => {
    if (isMissing(error)) return null
    throw storeError(error, absolute)
  })
  if (found?.isDirectory() !== true) {
    const reason = found === null ? 'there is no such folder' : 'it is no folder'
    throw new HooktrailError('ARCHIVE_NOT_FOUND', { location: absolute, reason })
  }
  return new DirectoryStore(absolute)
}

class DirectoryStore implements ArchiveStore {
  readonly driver = 'directory'
  readonly location: string

  constructor(root: string) {
    this.location = root
  }

  async create(object: NewObject): Promise<'created' | 'exists'> {
    const file = objectPath(this.location, object.key)
    try {
      await makeDurableFolder(path.dirname(file))
      return await this.#createFile(file, object)
    } catch (error) {
      throw storeError(error, object.key)
    }
  }

  async read(key: string, bytesMax: number): Promise<Buffer | null> {
    const found = await this.#fileHead(key)
    if (found === null) return null
    if (found.size > bytesMax) {
      throw new HooktrailError('ARCHIVE_OBJECT_TOO_LARGE', { key, size: found.size, bytesMax })
    }
    try {
      await using handle = await openFile(objectPath(this.location, key))
      return await handle.readFile()
    } catch (error) {
      if (isMissing(error)) return null
      throw storeError(error, key)
    }
  }

  async open(key: string): Promise<AsyncIterable<Uint8Array> | null> {
    return (await this.#fileHead(key)) && readChunks(objectPath(this.location, key), key)
  }

  head(key: string): Promise<ObjectHead | null> {
    return objectHead(objectPath(this.location, key), key)
  }

  list(prefix: string, after = ''): AsyncIterable<ObjectHead> {
    return listObjects({ root: this.location, prefix, after })
  }

  async #fileHead(key: string): Promise<ObjectHead | null> {
    const found = await this.head(key)
    if (found?.notFile === undefined) return found
    throw new HooktrailError('ARCHIVE_OBJECT_NOT_FILE', { key, found: found.notFile })
  }

  /**
   * Killed before the link: a file in tmp/, swept later. After the link and before the folder's sync: the object may
   * vanish with the power, and nobody was told that it exists. After the sync: only the second name in tmp/ is left.
   * 'exists' syncs as well: the winner may have died between its link and its sync.
   */
  async #createFile(file: string, object: NewObject): Promise<'created' | 'exists'> {
    const temporary = temporaryPath(path.join(this.location, TMP_FOLDER))
    try {
      await writeTemporary(temporary, object)
      const outcome = await linkOnce(temporary, file)
      await syncFolder(path.dirname(file))
      return outcome
    } finally {
      await removeTemporary(temporary)
    }
  }
}

async function linkOnce(from: string, to: string): Promise<'created' | 'exists'> {
  try {
    await link(from, to)
    return 'created'
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return 'exists'
    throw error
  }
}

async function removeTemporary(file: string): Promise<void> {
  try {
    await unlink(file)
  } catch (error) {
    // It was never made, for instance because the disk is full.
    if (!isMissing(error)) throw error
  }
}
