/**
 * Lists keys page by page. A page may repeat the last entry of the one before, and may be empty; keys out of byte order
 * or a listing that does not go on are errors, since readers would take what is left out for absent. Delete markers
 * hide their keys here.
 */
import { ListObjectsV2Command, type _Object } from '@aws-sdk/client-s3'
import { PROBE_PREFIX } from '../../core/archive/keys.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ObjectHead } from '../../core/ports/archive-store.ts'
import { request, type S3Context } from './request.ts'

export interface ListRequest {
  readonly prefix: string
  /** Exclusive. */
  readonly after: string
  /** Of one page; the store's own limit when absent. */
  readonly entriesMax?: number
}

export async function* listObjects(context: S3Context, list: ListRequest): AsyncGenerator<ObjectHead> {
  let last = list.after
  for (let token: string | null | undefined; token !== null;) {
    const page: Page = await readPage(context, list, token)
    for (const head of page.heads) {
      if (head.key === last || head.key.startsWith(PROBE_PREFIX)) continue
      if (head.key < last) throw unusable(head.key, 'keys are not listed in byte order')
      last = head.key
      yield head
    }
    if (page.next === token) throw unusable(list.prefix, 'a listing does not go on')
    token = page.next
  }
}

interface Page {
  readonly heads: readonly ObjectHead[]
  /** Null behind the last page. */
  readonly next: string | null
}

async function readPage(
  context: S3Context,
  { prefix, after, entriesMax }: ListRequest,
  token: string | undefined,
): Promise<Page> {
  const { client, options, folder } = context
  const command = {
    Bucket: options.bucket,
    Prefix: folder + prefix,
    ...(after === '' ? {} : { StartAfter: folder + after }),
    ...(token === undefined ? {} : { ContinuationToken: token }),
    ...(entriesMax === undefined ? {} : { MaxKeys: entriesMax }),
  }
  const page = await request(context, { key: prefix }, (abortSignal) =>
    client.send(new ListObjectsV2Command(command), { abortSignal }),
  )
  if (page.IsTruncated === true && page.NextContinuationToken === undefined)
    throw unusable(prefix, 'a listing does not go on')
  const heads = (page.Contents ?? []).map((found) => headOf(found, folder.length))
  return { heads, next: page.IsTruncated === true ? (page.NextContinuationToken ?? null) : null }
}

function unusable(key: string, reason: string): HooktrailError {
  return new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', { key, reason })
}

/** A listing tells neither version nor lock. */
function headOf({ Key = '', Size = 0, LastModified }: _Object, cut: number): ObjectHead {
  return {
    key: Key.slice(cut),
    size: Size,
    lastModifiedMs: LastModified?.getTime() ?? 0,
    versionId: null,
    lock: null,
  }
}
