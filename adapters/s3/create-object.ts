/**
 * Creates one object by one PutObject with `If-None-Match: *`: never a multipart upload, whose SHA-256 is composite and
 * whose completion some stores do not make atomic. The SHA-256 goes along as checksum and as payload hash, so the store
 * refuses other bytes and nothing is hashed twice. A file is opened again for each attempt.
 */
import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { NewObject, ObjectLock } from '../../core/ports/archive-store.ts'
import { modeName } from './object-locks.ts'
import { deleteMarker, keyState } from './object-versions.ts'
import { request, type S3Context } from './request.ts'
import { isRefusedByCondition } from './store-error.ts'

/** What S3 takes in one PutObject. */
const OBJECT_BYTES_MAX = 5 * 1024 ** 3
const FILE_CHUNK_BYTES = 256 * 1024

/** @throws ARCHIVE_DELETE_MARKER, ARCHIVE_DIGEST_MISMATCH, ARCHIVE_OBJECT_TOO_LARGE, and what the store throws */
export function createObject(context: S3Context, object: NewObject): Promise<'created' | 'exists'> {
  const { key, body } = object
  const bytes = Buffer.isBuffer(body) ? body.length : body.size
  if (bytes > OBJECT_BYTES_MAX)
    throw new HooktrailError('ARCHIVE_OBJECT_TOO_LARGE', { key, size: bytes, bytesMax: OBJECT_BYTES_MAX })
  return request(context, { key, bytes }, (signal) => lookAndPut(context, object, signal))
}

/**
 * The look costs a request. It keeps a create from succeeding over a delete marker, where the condition of some stores
 * does not; and it saves the upload of what exists, also at a repetition: a store that refuses may close the connection
 * under a body that is on its way, and its answer is lost. Created and deleted between look and write: two versions,
 * which the verifier tells.
 */
async function lookAndPut(
  context: S3Context,
  object: NewObject,
  signal: AbortSignal,
): Promise<'created' | 'exists'> {
  const state = await keyState(context, object.key, signal)
  switch (state) {
    case 'absent':
    case 'unsettled':
      return putOnce(context, object, signal)
    case 'present':
      return 'exists'
    case 'deleted':
      throw deleteMarker(context, object.key)
  }
  state satisfies never
}

async function putOnce(
  context: S3Context,
  object: NewObject,
  deadline: AbortSignal,
): Promise<'created' | 'exists'> {
  const attempt = new AbortController()
  await using body = await openBody(object, attempt)
  const command = new PutObjectCommand({ ...inputOf(context, object), Body: body.content })
  setHeaders(command, headersOf(context, object))
  try {
    await context.client.send(command, { abortSignal: AbortSignal.any([deadline, attempt.signal]) })
    return 'created'
  } catch (error) {
    if (isRefusedByCondition(error)) return 'exists'
    throw error
  }
}

function inputOf({ options, folder }: S3Context, object: NewObject): PutObjectCommandInput {
  const { key, body, sha256, contentType, lock, isHeld } = object
  return {
    Bucket: options.bucket,
    Key: folder + key,
    IfNoneMatch: '*',
    ContentType: contentType,
    ContentLength: Buffer.isBuffer(body) ? body.length : body.size,
    ChecksumAlgorithm: 'SHA256',
    ChecksumSHA256: sha256.toString('base64'),
    ...(lock === undefined ? {} : lockOf(lock)),
    ...(isHeld === true ? { ObjectLockLegalHoldStatus: 'ON' } : {}),
    ...(options.kmsKey === null ? {} : { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: options.kmsKey }),
  }
}

/** Said with each object: not every store stamps the default of its bucket on a version. */
function lockOf({ mode, untilMs }: ObjectLock): Partial<PutObjectCommandInput> {
  return {
    ObjectLockMode: modeName(mode),
    ObjectLockRetainUntilDate: new Date(untilMs),
  }
}

function headersOf({ options }: S3Context, { sha256 }: NewObject): Readonly<Record<string, string>> {
  const hash = { 'x-amz-content-sha256': sha256.toString('hex') }
  // As a header, since stores have classes of their own that the SDK's type does not know.
  return options.storageClass === null ? hash : { ...hash, 'x-amz-storage-class': options.storageClass }
}

/** Before the request is signed, so that the signature covers them and the SDK does not hash the body itself. */
function setHeaders(command: PutObjectCommand, headers: Readonly<Record<string, string>>): void {
  command.middlewareStack.add(
    (next) => (args) => {
      assert(hasHeaders(args.request), 'a request that is built has headers')
      Object.assign(args.request.headers, headers)
      return next(args)
    },
    { step: 'build', priority: 'low', name: 'hooktrailHeaders' },
  )
}

function hasHeaders(request: unknown): request is { readonly headers: Record<string, string> } {
  return typeof request === 'object' && request !== null && 'headers' in request
}

interface OpenedBody extends AsyncDisposable {
  readonly content: Buffer | Readable
}

async function openBody({ body, key }: NewObject, attempt: AbortController): Promise<OpenedBody> {
  if (Buffer.isBuffer(body) || body.size === 0) {
    const content = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
    return { content, [Symbol.asyncDispose]: () => Promise.resolve() }
  }
  const file = await open(body.path, 'r')
  const { size } = await file.stat()
  if (size < body.size) {
    await file.close()
    throw new HooktrailError('ARCHIVE_DIGEST_MISMATCH', { key, reason: 'the file is shorter' })
  }
  const stream = file.createReadStream({
    start: 0,
    end: body.size - 1,
    highWaterMark: FILE_CHUNK_BYTES,
    autoClose: false,
  })
  stream.once('error', (error) => {
    attempt.abort(error)
  })
  return {
    content: stream,
    [Symbol.asyncDispose]: async () => {
      // The store may answer before it has all bytes: the rest is not sent, and the connection cannot be used again.
      if (!stream.readableEnded) attempt.abort()
      stream.destroy()
      await file.close()
    },
  }
}
