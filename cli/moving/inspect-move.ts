/**
 * What has to be true before a move begins: nobody runs on either side, and the new one is empty, or holds what an
 * earlier run of the same move brought there. Reads only, so that a dry run may tell all of it.
 */
import type { MoveMark } from '../../adapters/postgres/move/move-marks.ts'
import { foundData, runningConnections } from '../../adapters/postgres/move/store-contents.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import type { EventLog } from '../../core/ports/event-log.ts'
import { archiveReader } from '../composition/archive-stores.ts'
import type { Context } from '../composition/context.ts'
import { openLog } from '../composition/open-log.ts'
import { refuseOtherArchive } from './copy-archive.ts'
import type { Sides } from './move-sides.ts'

/** @throws MOVE_SOURCE_RUNNING */
export async function refuseRunning({ database }: Pick<Context, 'database'>, side: string): Promise<void> {
  const connections = await runningConnections(database)
  if (connections > 0) throw new HooktrailError('MOVE_SOURCE_RUNNING', { side, connections })
}

/** @param mark of the new side, where this move was there before @throws MOVE_TARGET_NOT_EMPTY, MOVE_SOURCE_RUNNING */
export async function inspectTarget(sides: Sides, mark: MoveMark | null, signal: AbortSignal): Promise<void> {
  const { target, isOneDatabase, isOneLog, isOneArchive } = sides
  if (!isOneDatabase) await refuseRunning(target, 'new')
  if (!isOneArchive) await inspectArchive(sides, signal)
  // Whoever received on a new log too early has done no harm: it is planned after the move.
  if (mark !== null) return
  const found = isOneDatabase ? [] : await foundData(target.database)
  const logged = isOneLog || target.log.driver === 'postgres' ? [] : await foundTopics(target)
  if (found.length + logged.length > 0)
    throw new HooktrailError('MOVE_TARGET_NOT_EMPTY', { found: [...found, ...logged].join(', ') })
}

async function inspectArchive({ source, target }: Sides, signal: AbortSignal): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const to = await archiveReader(target, opened, signal)()
  const from = await archiveReader(source, opened, signal)()
  if (to !== null) await refuseOtherArchive({ from, to })
}

async function foundTopics(target: Context): Promise<readonly string[]> {
  await using log = await openLog(target)
  const found: string[] = []
  for (const topic of await log.topics()) if (await hasRecords(log, topic)) found.push(`topic ${topic.name}`)
  return found
}

async function hasRecords(
  log: EventLog,
  { name: topic, id: topicId, partitions }: Awaited<ReturnType<EventLog['topics']>>[number],
): Promise<boolean> {
  for (let partition = 0; partition < partitions; partition++)
    if ((await log.bounds({ topic, topicId, partition })).highWatermark > 0n) return true
  return false
}
