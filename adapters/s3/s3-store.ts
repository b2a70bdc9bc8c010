/**
 * The archive in a bucket with Object Lock (archive.md §§2, 5, 7). A conditional create is the compare-and-swap. A key
 * that was deleted behind a marker is never taken for absent: reading it and creating it are refused until somebody has
 * looked. No request is made before the first call, so a store that is down at start is waited for like any other.
 */
import { GetObjectCommand, HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import { isObjectKey } from '../../core/archive/keys.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type {
  ArchiveStore,
  LockingArchive,
  NewObject,
  ObjectHead,
  ObjectLock,
  ObjectProtection,
  ObjectVersion,
  VersionedArchive,
} from '../../core/ports/archive-store.ts'
import { listObjects } from './list-objects.ts'
import { extendLock, lockOf, readProtection, setHold } from './object-locks.ts'
import { objectBody, readChunks, readWhole, type ObjectBody } from './object-body.ts'
import { deleteMarker, keyState, listVersions } from './object-versions.ts'
import { REQUEST_TIMEOUT_MS, type S3StoreOptions } from './open-client.ts'
import { contextOf } from './open-context.ts'
import { createObject } from './create-object.ts'
import { request, storeName, type S3Context } from './request.ts'
import { isMissing, isMissingBucket } from './store-error.ts'

export type { S3Credentials, S3StoreOptions } from './open-client.ts'

export interface S3Store extends ArchiveStore, VersionedArchive, LockingArchive, AsyncDisposable {}

export function openS3Store(options: S3StoreOptions): S3Store {
  return new BucketStore(contextOf(options))
}

/** For commands that only look. @throws ARCHIVE_NOT_FOUND where there is no such bucket, or nothing below the prefix */
export async function openS3ForReading(options: S3StoreOptions): Promise<S3Store> {
  const context = contextOf(options)
  await using opened = new AsyncDisposableStack()
  const store = opened.use(new BucketStore(context))
  const reason = await whyNoArchive(context)
  if (reason !== null)
    throw new HooktrailError('ARCHIVE_NOT_FOUND', {
      ...{ location: store.location, store: storeName(options), reason },
    })
  opened.move()
  return store
}

/** What lies there may be damaged, without its genesis for instance: that is for the verifier to say. */
async function whyNoArchive(context: S3Context): Promise<string | null> {
  try {
    const first = await listObjects(context, { prefix: '', after: '', entriesMax: 1 }).next()
    return first.done === true ? 'it is empty' : null
  } catch (error) {
    if (error instanceof HooktrailError && isMissingBucket(error.cause)) return 'there is no such bucket'
    throw error
  }
}

/** Looks again when a key that was not found is listed: somebody created it in between. */
const LOOKS_MAX = 3

class BucketStore implements S3Store {
  readonly driver = 's3'
  readonly location: string
  readonly #context: S3Context

  constructor(context: S3Context) {
    this.#context = context
    this.location = `s3://${context.options.bucket}/${context.folder}`.replace(/\/$/, '')
  }

  async create(object: NewObject): Promise<'created' | 'exists'> {
    requireKey(object.key)
    return createObject(this.#context, object)
  }

  read(key: string, bytesMax: number): Promise<Buffer | null> {
    return this.#lookFor(key, { key, bytes: bytesMax }, async (signal) =>
      readWhole(await this.#get(key, signal), bytesMax),
    )
  }

  async open(key: string): Promise<AsyncIterable<Uint8Array> | null> {
    const body = await this.#lookFor(key, { key }, (signal) => this.#get(key, signal))
    return body && readChunks(body, this.#context.options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS)
  }

  head(key: string): Promise<ObjectHead | null> {
    const { client } = this.#context
    return this.#lookFor(key, { key }, async (abortSignal) =>
      headOf(key, await client.send(new HeadObjectCommand(this.#at(key)), { abortSignal })),
    )
  }

  list(prefix: string, after = ''): AsyncIterable<ObjectHead> {
    return listObjects(this.#context, { prefix, after })
  }

  listVersions(prefix: string): AsyncIterable<ObjectVersion> {
    return listVersions(this.#context, prefix)
  }

  protectionOf(key: string): Promise<ObjectProtection | null> {
    return this.#lookFor(key, { key }, (signal) => readProtection(this.#context, key, signal))
  }

  extendLock(key: string, lock: ObjectLock): Promise<void> {
    requireKey(key)
    return extendLock(this.#context, key, lock)
  }

  setHold(key: string, isHeld: boolean): Promise<void> {
    requireKey(key)
    return setHold(this.#context, key, isHeld)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#context.givenUp.abort()
    this.#context.client.destroy()
    return Promise.resolve()
  }

  async #get(key: string, abortSignal: AbortSignal): Promise<ObjectBody> {
    const found = await this.#context.client.send(new GetObjectCommand(this.#at(key)), { abortSignal })
    return objectBody(key, found.Body, found.ContentLength)
  }

  /** @returns null for a key that never was there; one that is hidden by a marker is an error. */
  async #lookFor<T>(
    key: string,
    call: { readonly key: string; readonly bytes?: number },
    send: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | null> {
    requireKey(key)
    for (let look = 0; look < LOOKS_MAX; look++) {
      const found = await request(this.#context, call, (signal) => orNull(send(signal)))
      if (found !== null) return found
      const state = await keyState(this.#context, key)
      if (state === 'absent') return null
      if (state === 'deleted') throw deleteMarker(this.#context, key)
    }
    const reason = 'it is listed and cannot be found'
    throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key, reason })
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#context.options.bucket, Key: this.#context.folder + key }
  }
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** @throws ARCHIVE_KEY_INVALID */
function requireKey(key: string): void {
  if (!isObjectKey(key)) throw new HooktrailError('ARCHIVE_KEY_INVALID', { key })
}

function headOf(key: string, found: HeadObjectCommandOutput): ObjectHead {
  return {
    key,
    size: found.ContentLength ?? 0,
    lastModifiedMs: found.LastModified?.getTime() ?? 0,
    versionId: found.VersionId ?? null,
    lock: lockOf(found.ObjectLockMode, found.ObjectLockRetainUntilDate),
  }
}
