/**
 * The archive's part of a move: as a step of it, while everything stands still, or ahead of it, while the old side runs.
 * Both copy the same way, so that what was copied ahead is not copied again.
 */
import { join, resolve } from 'node:path'
import { systemClock } from '../../adapters/system/clock.ts'
import { retentionTerms } from '../../core/config/retention-terms.ts'
import { archiveReader, openArchiveStore, type OpenedArchive } from '../composition/archive-stores.ts'
import { copiedLocks } from './copied-locks.ts'
import { copyArchive, type ArchiveCopy, type CopiedObjects } from './copy-archive.ts'
import { isSameArchive, type MoveOptions, type Sides } from './move-sides.ts'

/** What is archived so far, also while the old side runs: the move itself has less to copy then. @throws MOVE_TARGET_NOT_EMPTY */
export async function copyAhead({ from, to, home, logger, say, signal }: MoveOptions): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const shared = { home: resolve(home), clock: systemClock, logger }
  const [source, target] = [
    { ...shared, config: from },
    { ...shared, config: to },
  ]
  const archive = isSameArchive(source, target) ? null : await archiveReader(source, opened, signal)()
  if (archive === null) {
    say('nothing to copy')
    return
  }
  const copy = {
    from: archive,
    to: await openArchiveStore(target, opened, signal),
    ...protecting(to, archive),
  }
  sayCopied(say, await copyArchive({ ...copy, spoolDirectory: spoolOf(shared.home) }, signal))
}

export async function moveArchive({
  source,
  target,
  say,
  signal,
}: Pick<Sides, 'source' | 'target'> & Pick<MoveOptions, 'say' | 'signal'>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  say('copying the archive')
  const from = await openArchiveStore(source, opened, signal)
  const copy = {
    from,
    ...protecting(target.config, from),
    to: await openArchiveStore(target, opened, signal),
    spoolDirectory: spoolOf(source.home),
  }
  sayCopied(say, await copyArchive(copy, signal))
}

function protecting(to: MoveOptions['to'], from: OpenedArchive): Pick<ArchiveCopy, 'protect'> {
  if (to.archive.s3 === null) return {}
  return { protect: copiedLocks({ from, terms: retentionTerms(to), nowMs: systemClock.now() }) }
}

function sayCopied(say: MoveOptions['say'], { objects, bytes }: CopiedObjects): void {
  say(`  ${objects} objects, ${bytes} bytes`)
}

/** Not that of archivers, which they sweep. */
function spoolOf(home: string): string {
  return join(home, 'moving')
}
