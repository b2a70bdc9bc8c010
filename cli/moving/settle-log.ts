/**
 * The log's part of a move: afterwards nobody needs the old log any more. It is closed already, so that both steps end.
 */
import { archiveRest } from '../../archiver/archive-rest.ts'
import { planRest } from '../../dispatcher/plan-rest.ts'
import { archiveReader, openArchiveStore, openUnion } from '../composition/archive-stores.ts'
import { archiverDeps } from '../composition/open-archiver.ts'
import { openWorm } from '../composition/open-worm.ts'
import { identifyStore, prepareLog } from '../composition/prepare-stores.ts'
import type { MoveOptions, Sides } from './move-sides.ts'

/** From here on everything that the log holds is planned, and lies in the archive under a signature. */
export async function settleLog({
  source,
  say,
  signal,
}: Pick<Sides, 'source'> & Pick<MoveOptions, 'say' | 'signal'>): Promise<void> {
  await using opened = new AsyncDisposableStack()
  opened.use(await prepareLog(source))
  const reading = opened.use(new AsyncDisposableStack())
  const log = openUnion(source, reading, archiveReader(source, reading, signal))
  say('planning what handlers are behind')
  await planRest(source.config, { ...source, log }, signal)
  say('archiving the rest of the log')
  const archive = await openArchiveStore(source, opened, signal)
  const { archiveId: rememberedArchiveId } = await identifyStore(source)
  const worm = await openWorm(source, archive, opened)
  const deps = await archiverDeps(source, { archive, rememberedArchiveId, ...worm })
  await archiveRest(source.config, deps, signal)
}
