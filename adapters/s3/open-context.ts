/** One client of the SDK with what its requests share: options, the archive's folder, and how it is given up. */
import { openClient, type S3StoreOptions } from './open-client.ts'
import type { S3Context } from './request.ts'

export function contextOf(options: S3StoreOptions): S3Context {
  const givenUp = new AbortController()
  return { client: openClient(options), options, folder: folderOf(options.prefix), givenUp }
}

function folderOf(prefix: string): string {
  const bare = prefix.replace(/^\/+|\/+$/g, '')
  return bare === '' ? '' : `${bare}/`
}
