/**
 * One archive into another place, byte for byte under the same keys, create-only: a chain that went on in two places, or
 * over another archive, is refused. What is there already stays, so that it may begin while the old side still runs and
 * be repeated at any point. What a crash leaves is a part of the objects, and the next run adds the rest.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { contentTypeOf } from '../../core/archive/content-type.ts'
import { GENESIS_KEY } from '../../core/archive/keys.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore, NewObject, ObjectHead } from '../../core/ports/archive-store.ts'

/** Most objects are small notes, of which each costs a round trip. */
const COPIES_AT_ONCE = 8
const GENESIS_BYTES_MAX = 1024 * 1024

export interface ArchiveCopy {
  readonly from: Pick<ArchiveStore, 'read' | 'open' | 'list'>
  readonly to: ArchiveStore
  /** Lock and hold of each object where it is copied to; absent: none. */
  readonly protect?: (key: string) => Promise<Pick<NewObject, 'lock' | 'isHeld'>>
  /** Holds what is under way; emptied before and after. */
  readonly spoolDirectory: string
}

export interface CopiedObjects {
  readonly objects: number
  readonly bytes: number
}

/** @throws MOVE_TARGET_NOT_EMPTY, and what the stores throw */
export async function copyArchive(copy: ArchiveCopy, signal: AbortSignal): Promise<CopiedObjects> {
  await refuseOtherArchive(copy)
  const { spoolDirectory } = copy
  await rm(spoolDirectory, { recursive: true, force: true })
  await mkdir(spoolDirectory, { recursive: true, mode: 0o700 })
  const failed = new AbortController()
  const stopped = AbortSignal.any([signal, failed.signal])
  const missing = missingObjects(copy)
  let [objects, bytes] = [0, 0]
  const worker = async (): Promise<void> => {
    for (let next = await missing.next(); next.done !== true; next = await missing.next()) {
      stopped.throwIfAborted()
      await copyObject(copy, next.value)
      objects += 1
      bytes += next.value.size
    }
  }
  const workers = Array.from({ length: COPIES_AT_ONCE }, () =>
    worker().catch((error: unknown) => {
      failed.abort(error)
      throw error
    }),
  )
  // All have ended before the folder goes.
  await Promise.allSettled(workers)
  await missing.return()
  await rm(spoolDirectory, { recursive: true, force: true })
  await Promise.all(workers)
  return { objects, bytes }
}

/** @throws MOVE_TARGET_NOT_EMPTY where another archive lies, or one where the old side has none */
export async function refuseOtherArchive({
  from,
  to,
}: {
  /** Null: the old side has none. */
  readonly from: Pick<ArchiveStore, 'read'> | null
  readonly to: Pick<ArchiveStore, 'read' | 'location'>
}): Promise<void> {
  const there = await to.read(GENESIS_KEY, GENESIS_BYTES_MAX)
  if (there === null) return
  const here = (await from?.read(GENESIS_KEY, GENESIS_BYTES_MAX)) ?? null
  if (here?.equals(there) !== true)
    throw new HooktrailError('MOVE_TARGET_NOT_EMPTY', { found: `another archive at ${to.location}` })
}

/** Both listings are in the order of keys. What has the right size was created whole, by an earlier run. */
async function* missingObjects({ from, to }: ArchiveCopy): AsyncGenerator<ObjectHead, void, undefined> {
  const there = to.list('')[Symbol.asyncIterator]()
  let known = await there.next()
  for await (const object of from.list('')) {
    if (known.done !== true && Buffer.compare(Buffer.from(known.value.key), Buffer.from(object.key)) < 0)
      throw foreign(known.value.key, to)
    if (known.done === true || known.value.key !== object.key) {
      yield object
      continue
    }
    if (known.value.size !== object.size) throw foreign(object.key, to)
    known = await there.next()
  }
  if (known.done !== true) throw foreign(known.value.key, to)
}

async function copyObject(
  { from, to, spoolDirectory, protect }: ArchiveCopy,
  { key }: ObjectHead,
): Promise<void> {
  const path = join(spoolDirectory, randomUUID())
  const { size, sha256 } = await spool(from, key, path)
  const object = { key, body: { path, size }, sha256, contentType: contentTypeOf(key) }
  const outcome = await to.create({ ...object, ...(await protect?.(key)) })
  if (outcome === 'exists' && (await to.head(key))?.size !== size) throw foreign(key, to)
  await rm(path)
}

async function spool(
  from: ArchiveCopy['from'],
  key: string,
  path: string,
): Promise<{ readonly size: number; readonly sha256: Buffer }> {
  const stream = await from.open(key)
  if (stream === null) throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key, reason: 'it vanished' })
  await using file = await open(path, 'wx', 0o600)
  const digest = createHash('sha256')
  let size = 0
  for await (const chunk of stream) {
    digest.update(chunk)
    size += chunk.length
    await file.appendFile(chunk)
  }
  return { size, sha256: digest.digest() }
}

function foreign(key: string, { location }: ArchiveStore): HooktrailError {
  return new HooktrailError('MOVE_TARGET_NOT_EMPTY', { found: `${key} at ${location}` })
}
