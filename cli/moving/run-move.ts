/**
 * The move itself, in an order in which each step may be the last before a crash and be run again: mark the old side and
 * close its log; plan and archive the rest, so that the log may be left; copy the archive; copy the store together with
 * the mark that the new side is whole; mark the old side as left. Until the copy of the store commits the old side is the
 * truth and `cancelMove` brings it back, from then on the new one is.
 */
import { randomUUID } from 'node:crypto'
import { copyStore } from '../../adapters/postgres/move/copy-store.ts'
import {
  clearMark,
  markSource,
  markTarget,
  markWhole,
  readMark,
  type MoveMark,
} from '../../adapters/postgres/move/move-marks.ts'
import { HooktrailError } from '../../core/error/hooktrail-error.ts'
import { restOf } from '../../dispatcher/plan-rest.ts'
import type { Context } from '../composition/context.ts'
import { identifyStore, prepareLog, prepareSchema } from '../composition/prepare-stores.ts'
import { inspectTarget, refuseRunning } from './inspect-move.ts'
import { moveArchive } from './move-archive.ts'
import { openSides, type MoveOptions, type Sides } from './move-sides.ts'
import { settleLog } from './settle-log.ts'

/** Of one move at a time; released with its connection. */
const MOVE_LOCK = 7_301_544_001n

interface Move extends Sides, Pick<MoveOptions, 'say' | 'signal'> {
  readonly moveId: string
  /** Of the new side, where this move was there before. */
  readonly targetMark: MoveMark | null
}

/** @throws MOVE_…, STORE_MOVED, and what the stores throw: run it again */
export async function runMove(options: MoveOptions): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const move = await openMove(options, opened)
  if (move === null) return
  await begin(move)
  if (!move.isOneLog) await settleLog(move)
  if (!move.isOneArchive) await moveArchive(move)
  await goOver(move)
  sayAfter(move)
}

/** Says what a move would do, and changes nothing but the schema of the old side, as every start does. */
export async function describeMove(options: MoveOptions): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const move = await openMove(options, opened)
  if (move === null) return
  const { source, isOneDatabase, isOneLog, isOneArchive, place, say } = move
  say(`would move to ${place}`)
  if (!isOneLog) {
    opened.use(await prepareLog(source))
    for (const [handler, records] of await restOf(source.config, source))
      say(`  plan ${records} records that handler ${handler} is behind`)
    say('  archive and sign the rest of the log, which then is left behind')
  }
  if (!isOneArchive) say('  copy the archive')
  if (!isOneDatabase) say('  copy events, jobs, attempts, positions, dedup keys and audit')
  if (!isOneDatabase || !isOneLog) say('  mark the old side, which then no longer starts')
}

/** @throws STORE_MOVED where the new side is whole, MOVE_SOURCE_RUNNING */
export async function cancelMove(options: MoveOptions): Promise<void> {
  await using opened = new AsyncDisposableStack()
  const { source, target, isOneDatabase, database } = await openSides(options, opened)
  await lockMoves(source, opened)
  const mark = await readMark(source.database)
  if (mark?.side !== 'source') {
    options.say('nothing to cancel')
    return
  }
  refuseOtherTarget(mark, database)
  const there = isOneDatabase ? null : await readMark(target.database)
  const isOurs = there?.moveId === mark.moveId
  if (mark.isWhole || (isOurs && there.isWhole)) throw new HooktrailError('STORE_MOVED', { to: mark.place })
  // The new side first: a crash in between leaves the old one marked, and this is run again.
  if (isOurs) await clearMark(target.database, mark.moveId)
  await clearMark(source.database, mark.moveId)
  options.say('cancelled: the old side may start again')
}

/** Null where nothing is left to do, which it says. */
async function openMove(options: MoveOptions, opened: AsyncDisposableStack): Promise<Move | null> {
  const { say, signal } = options
  const sides = await openSides(options, opened)
  const { source, target, isOneDatabase, isOneLog, isOneArchive, place, database } = sides
  if (isOneLog && isOneArchive) {
    say('nothing to move: log, database and archive are the same')
    return null
  }
  await lockMoves(source, opened)
  await prepareSchema(source)
  const mark = await readMark(source.database)
  const there = isOneDatabase ? null : await readMark(target.database)
  const targetMark = there !== null && there.moveId === mark?.moveId ? there : null
  if (await isOver({ source, mark, targetMark, place, database })) {
    say(`moved already: it goes on at ${place}`)
    return null
  }
  await refuseRunning(source, 'old')
  await identifyStore(source)
  await inspectTarget(sides, targetMark, signal)
  const moveId = mark?.side === 'source' ? mark.moveId : randomUUID()
  return { ...sides, moveId, targetMark, say, signal }
}

async function lockMoves({ database }: Context, opened: AsyncDisposableStack): Promise<void> {
  const connection = opened.use(await database.connect())
  const [row] = await connection.query<{ locked: boolean }>('SELECT pg_try_advisory_lock($1) AS locked', [
    MOVE_LOCK.toString(),
  ])
  if (row?.locked !== true)
    throw new HooktrailError('MOVE_SOURCE_RUNNING', { side: 'another hooktrail move' })
}

interface Marks extends Pick<Move, 'source' | 'targetMark' | 'place' | 'database'> {
  readonly mark: MoveMark | null
}

/** A crash between the two last marks is mended here. @throws STORE_MOVED where it went elsewhere */
async function isOver({ source, mark, targetMark, place, database }: Marks): Promise<boolean> {
  if (targetMark?.isWhole === true && mark !== null) {
    await markWhole(source.database, mark.moveId, 'source')
    return true
  }
  if (mark === null) return false
  if (mark.side === 'source' && mark.isWhole) throw new HooktrailError('STORE_MOVED', { to: mark.place })
  if (mark.side === 'target' && !mark.isWhole)
    throw new HooktrailError('STORE_MOVE_UNFINISHED', { to: mark.place })
  if (mark.side === 'source') refuseOtherTarget(mark, database)
  return mark.side === 'target' && mark.place === place
}

/** Whether the move is whole is known in the database that it went to. @throws STORE_MOVE_UNFINISHED */
function refuseOtherTarget(mark: MoveMark, database: string): void {
  if (mark.database !== database) throw new HooktrailError('STORE_MOVE_UNFINISHED', { to: mark.place })
}

async function begin({ source, target, moveId, place, database, ...move }: Move): Promise<void> {
  const mark = { moveId, place, database, logDriver: target.log.driver }
  move.say(`moving to ${place}`)
  await markSource(source.database, mark, !move.isOneLog)
  // Who started a moment before the mark.
  await refuseRunning(source, 'old')
  if (move.isOneDatabase) return
  await prepareSchema(target)
  await markTarget(target.database, mark)
}

async function goOver({ source, target, moveId, isOneDatabase, say }: Move): Promise<void> {
  if (isOneDatabase) {
    await source.database.transaction((transaction) => markWhole(transaction, moveId, 'target'))
    return
  }
  say('copying the store')
  const onTable = (name: string, rows: number): void => {
    if (rows > 0) say(`  ${name}: ${rows}`)
  }
  await copyStore({ from: source.database, to: target.database, moveId, onTable })
  // A crash before this leaves the old side marked as under way: it does not start either.
  await markWhole(source.database, moveId, 'source')
}

function sayAfter({ place, say, target }: Move): void {
  say(`moved: it goes on at ${place}`)
  const keys = [
    'digest_key',
    ...(target.config.archive.signingKey === null ? [`${target.home}/keys/archive.key and archive.pub`] : []),
    ...(target.config.api.authToken === null ? [`${target.home}/token`] : []),
  ]
  say(`every process of the new side needs the same ${keys.join(', ')}`)
}
