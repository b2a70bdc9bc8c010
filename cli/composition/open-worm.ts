/** What the archiver needs in order to lock: the retention of the configuration, the store's locks, and their probe. */
import type { WormDeps } from '../../archiver/protecting.ts'
import { retentionTerms } from '../../core/config/retention-terms.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { LockingArchive, LockProbe } from '../../core/ports/archive-store.ts'
import { s3Options, type ArchivePlace, type OpenedArchive } from './archive-stores.ts'
import type { Context } from './context.ts'

/** Nothing where nothing is locked. What has to be closed goes to `opened`. */
export async function openWorm(
  context: Context,
  archive: OpenedArchive,
  opened: AsyncDisposableStack,
): Promise<{ readonly worm?: WormDeps }> {
  const { worm: mode } = context.config.archive
  const terms = retentionTerms(context.config)
  if (mode === 'off' || terms === null) return {}
  const probe = await openProbe(context, opened)
  return { worm: { mode, terms, store: lockingOf(archive), probe } }
}

/** @throws ARCHIVE_WITHOUT_LOCKS for a folder */
export async function openProbe(context: ArchivePlace, opened: AsyncDisposableStack): Promise<LockProbe> {
  const { s3, probeCredentials } = context.config.archive
  if (s3 === null) throw new HooktrailError('ARCHIVE_WITHOUT_LOCKS')
  const { openLockProbe } = await import('../../adapters/s3/lock-probe.ts')
  return opened.use(openLockProbe(s3Options(context, s3), probeCredentials))
}

/** @throws ARCHIVE_WITHOUT_LOCKS */
function lockingOf(archive: OpenedArchive): LockingArchive {
  const { protectionOf, extendLock, setHold } = archive
  if (protectionOf === undefined || extendLock === undefined || setHold === undefined)
    throw new HooktrailError('ARCHIVE_WITHOUT_LOCKS')
  return {
    protectionOf: protectionOf.bind(archive),
    extendLock: extendLock.bind(archive),
    setHold: setHold.bind(archive),
  }
}
