/**
 * Versions and delete markers. A key over which a marker lies answers like an absent one (of the stores tested one says
 * so in no way, another only to a GET), and some let a conditional create succeed over it. The listing of versions is the
 * only answer that all stores give alike, so it decides what "not found" means.
 */
import {
  ListObjectVersionsCommand,
  type DeleteMarkerEntry,
  type ListObjectVersionsCommandOutput,
} from '@aws-sdk/client-s3'
import { PROBE_PREFIX } from '../../core/archive/keys.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ObjectVersion } from '../../core/ports/archive-store.ts'
import { request, type S3Context } from './request.ts'

/** unsettled: a version is there that is not the newest yet; it is being written, or its writer was interrupted. */
export type KeyState = 'absent' | 'unsettled' | 'present' | 'deleted'

/** The key itself comes first among those that begin with it, its newest version first; some to spare. */
const STATE_ENTRIES_MAX = 10

/** @param signal of the call that this is a part of; then that call repeats it */
export async function keyState(context: S3Context, key: string, signal?: AbortSignal): Promise<KeyState> {
  const asked = { prefix: key, entriesMax: STATE_ENTRIES_MAX }
  const page = await (signal === undefined
    ? request(context, { key }, (own) => readPage(context, asked, own))
    : readPage(context, asked, signal))
  const own = page.entries.filter((entry) => entry.key === key)
  if (own.some(({ isLatest, isDeleteMarker }) => isLatest && !isDeleteMarker)) return 'present'
  if (own.some(({ isDeleteMarker }) => isDeleteMarker)) return 'deleted'
  return own.length === 0 ? 'absent' : 'unsettled'
}

export function deleteMarker({ options }: S3Context, key: string): HooktrailError {
  return new HooktrailError('ARCHIVE_DELETE_MARKER', { key, bucket: options.bucket })
}

/** Every version and marker of the keys that begin with `prefix`, in byte order of keys, read lazily. */
export async function* listVersions(context: S3Context, prefix: string): AsyncGenerator<ObjectVersion> {
  let seen: ReadonlySet<string> = new Set()
  for (let from: PageStart | null = {}; from !== null;) {
    const asked: PageRequest = { prefix, from }
    const page: VersionsPage = await request(context, { key: prefix }, (signal) =>
      readPage(context, asked, signal),
    )
    // A page may begin with what the one before ended with.
    const fresh = page.entries.filter((entry) => !seen.has(identityOf(entry)))
    if (fresh.length === 0 && page.next?.KeyMarker === from.KeyMarker && page.next !== null)
      throw new HooktrailError('ARCHIVE_STORE_UNAVAILABLE', {
        key: prefix,
        reason: 'a listing does not go on',
      })
    yield* fresh.filter((entry) => !entry.key.startsWith(PROBE_PREFIX))
    seen = new Set(page.entries.map(identityOf))
    from = page.next
  }
}

interface PageStart {
  readonly KeyMarker?: string
  readonly VersionIdMarker?: string
}

interface VersionsPage {
  readonly entries: readonly ObjectVersion[]
  readonly next: PageStart | null
}

interface PageRequest {
  readonly prefix: string
  readonly from?: PageStart
  readonly entriesMax?: number
}

async function readPage(
  { client, options, folder }: S3Context,
  { prefix, from = {}, entriesMax }: PageRequest,
  abortSignal: AbortSignal,
): Promise<VersionsPage> {
  const command = new ListObjectVersionsCommand({
    Bucket: options.bucket,
    Prefix: folder + prefix,
    ...from,
    ...(entriesMax === undefined ? {} : { MaxKeys: entriesMax }),
  })
  const page = await client.send(command, { abortSignal })
  return { entries: entriesOf(page, folder.length), next: nextOf(page) }
}

/** The SDK hands versions and markers out apart: they are put in order again, by key and then newest first. */
function entriesOf(page: ListObjectVersionsCommandOutput, cut: number): readonly ObjectVersion[] {
  const entry = (found: Omit<DeleteMarkerEntry, 'Owner'>, size: number | null): ObjectVersion => ({
    key: (found.Key ?? '').slice(cut),
    versionId: found.VersionId ?? 'null',
    isLatest: found.IsLatest === true,
    isDeleteMarker: size === null,
    size,
    lastModifiedMs: found.LastModified?.getTime() ?? 0,
  })
  return [
    ...(page.DeleteMarkers ?? []).map((marker) => entry(marker, null)),
    ...(page.Versions ?? []).map((version) => entry(version, version.Size ?? 0)),
  ].toSorted(compareVersions)
}

function compareVersions(a: ObjectVersion, b: ObjectVersion): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1
  if (a.isLatest !== b.isLatest) return a.isLatest ? -1 : 1
  return b.lastModifiedMs - a.lastModifiedMs
}

function nextOf({
  IsTruncated,
  NextKeyMarker,
  NextVersionIdMarker,
}: ListObjectVersionsCommandOutput): PageStart | null {
  if (IsTruncated !== true || NextKeyMarker === undefined) return null
  return {
    KeyMarker: NextKeyMarker,
    ...(NextVersionIdMarker === undefined ? {} : { VersionIdMarker: NextVersionIdMarker }),
  }
}

function identityOf({ key, versionId }: ObjectVersion): string {
  return `${key} ${versionId}`
}
