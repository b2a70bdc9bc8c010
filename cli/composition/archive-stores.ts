/**
 * The archive that the configuration names, a folder or a bucket: for the archiver, which may make it, and for dispatcher
 * and API, which only read and open it when they need it, since an archiver may make it later. The client of S3 is loaded
 * only where it is used.
 */
import { join } from 'node:path'
import { openDirectoryForReading, openDirectoryStore } from '../../adapters/directory/directory-store.ts'
import type { S3StoreOptions } from '../../adapters/s3/s3-store.ts'
import { archivePublicKeyPath, readPublicKeys } from '../../adapters/system/key-files.ts'
import { publicKeyOf } from './archive-keys.ts'
import { ArchiveRange } from '../../core/archive/range/archive-range.ts'
import type { ArchiveSource } from '../../core/archive/range/find-segment.ts'
import { believedKeys } from '../../core/archive/key/read-key-chain.ts'
import { UnionLog } from '../../core/archive/range/union-log.ts'
import { parseVerifierKey, type NoteVerifier } from '../../core/archive/signed-note.ts'
import type { S3Config } from '../../core/config/config.ts'
import { archiveLocation } from '../../core/config/warn-config.ts'
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import type { ArchiveStore, LockingArchive } from '../../core/ports/archive-store.ts'
import type { Context } from './context.ts'

/** Which archive it is, and what opening it takes. */
export type ArchivePlace = Pick<Context, 'home' | 'clock' | 'logger'> & {
  readonly config: Pick<Context['config'], 'archive'>
}

/** A bucket locks; a folder does not. */
export type OpenedArchive = ArchiveStore & Partial<LockingArchive>

/** What has to be closed goes to `opened`. */
export async function openArchiveStore(
  context: ArchivePlace,
  opened: AsyncDisposableStack,
  stopping: AbortSignal,
): Promise<OpenedArchive> {
  const { s3 } = context.config.archive
  if (s3 === null) return openDirectoryStore(folderOf(context), context)
  const { openS3Store } = await import('../../adapters/s3/s3-store.ts')
  return opened.use(openS3Store({ ...s3Options(context, s3), stopping }))
}

/** Resolves with null while there is no archive, or where this process cannot see it. */
export function archiveReader(
  context: ArchivePlace,
  opened: AsyncDisposableStack,
  stopping: AbortSignal,
): () => Promise<OpenedArchive | null> {
  const { s3 } = context.config.archive
  if (s3 === null) return () => unlessAbsent(openDirectoryForReading(folderOf(context)))
  let bucket: OpenedArchive | null = null
  const options = { ...s3Options(context, s3), stopping }
  return async () => {
    const { openS3ForReading } = await import('../../adapters/s3/s3-store.ts')
    bucket ??= await unlessAbsent(openS3ForReading(options).then((store) => opened.use(store)))
    return bucket
  }
}

/** The log, and behind its start the archive, which is opened by the first read that needs it. */
export function openUnion(
  context: Context,
  opened: AsyncDisposableStack,
  openArchive: () => Promise<ArchiveStore | null>,
): UnionLog {
  const openSource = async (): Promise<ArchiveSource> => {
    const pinned = await archiveKeys(context)
    const store = await openArchive()
    if (store !== null) return { store, keys: await believedKeys(store, pinned) }
    const location = archiveLocation(context.config.archive, folderOf(context))
    throw new HooktrailError('ARCHIVE_READER_MISSING', { reason: `there is no archive at ${location}` })
  }
  return new UnionLog(context.log, opened.use(new ArchiveRange({ openSource, clock: context.clock })))
}

/** Null while there is no archive, or where this process cannot see it. @throws ARCHIVE_READER_MISSING without a key */
export async function openArchiveSource(
  context: Context,
  openArchive: () => Promise<ArchiveStore | null>,
): Promise<ArchiveSource | null> {
  const store = await openArchive()
  return store === null ? null : { store, keys: await believedKeys(store, await archiveKeys(context)) }
}

/** Whose notes are believed: the keys of the settings, or the one that the archiver keeps in the home. @throws ARCHIVE_READER_MISSING */
export async function archiveKeys({ config, home }: Context): Promise<readonly NoteVerifier[]> {
  const { signingKey, publicKey } = config.archive
  const own = signingKey === null ? null : publicKeyOf(signingKey)
  const given = [own, publicKey].filter((vkey) => vkey !== null)
  if (given.length > 0) return given.map(parseVerifierKey)
  const file = archivePublicKeyPath(home)
  try {
    return await readPublicKeys(file)
  } catch (error) {
    const reason = `neither archive.public_key nor archive.signing_key nor ${file}`
    throw new HooktrailError('ARCHIVE_READER_MISSING', { reason }, error)
  }
}

async function unlessAbsent<T>(opening: Promise<T>): Promise<T | null> {
  try {
    return await opening
  } catch (error) {
    if (isHooktrailError(error, 'ARCHIVE_NOT_FOUND')) return null
    throw error
  }
}

export function folderOf({ config, home }: Pick<ArchivePlace, 'config' | 'home'>): string {
  return config.archive.directory ?? join(home, 'archive')
}

export function s3Options({ clock, logger }: ArchivePlace, s3: S3Config): S3StoreOptions {
  return { ...s3, clock, logger }
}
