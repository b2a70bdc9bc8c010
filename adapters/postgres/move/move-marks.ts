/**
 * The mark that a move leaves in the databases of both sides, so that neither starts while it is under way and the old
 * one never again, and the trigger that closes the log: an append that is not committed by then never is (I1), whoever
 * still runs. Each method is one transaction, and repeating it is harmless.
 */
import { HooktrailError } from '../../../core/error/hooktrail-error.ts'
import type { EventLog } from '../../../core/ports/event-log.ts'
import type { Database, Queryable } from '../database.ts'

type LogDriver = EventLog['driver']

export interface MoveMark {
  readonly moveId: string
  readonly side: 'source' | 'target'
  readonly isWhole: boolean
  readonly logDriver: LogDriver
  /** The larger size, for people. */
  readonly place: string
  /** Of the larger size: whether a move is whole is known there. */
  readonly database: string
}

type NewMark = Pick<MoveMark, 'moveId' | 'logDriver' | 'place' | 'database'>

const MARK = `SELECT move_id::text AS "moveId", side, is_whole AS "isWhole", log_driver AS "logDriver", place, database
                FROM moves`

/** Also where hooktrail has never been, or an earlier version was. */
export async function readMark(database: Queryable): Promise<MoveMark | null> {
  const [schema] = await database.query<{ is_made: boolean }>(
    `SELECT to_regclass('moves') IS NOT NULL AS is_made`,
  )
  if (schema?.is_made !== true) return null
  const [mark] = await database.query<MoveMark & Record<string, unknown>>(MARK)
  return mark ?? null
}

/** At every start. @throws STORE_MOVED, STORE_MOVE_UNFINISHED */
export async function refuseMoved(database: Queryable, driver: LogDriver): Promise<void> {
  const mark = await readMark(database)
  if (mark === null) return
  const { side, isWhole, place, logDriver } = mark
  if (!isWhole) throw new HooktrailError('STORE_MOVE_UNFINISHED', { to: place })
  if (side === 'source' || logDriver !== driver) throw new HooktrailError('STORE_MOVED', { to: place })
}

/**
 * Marks the old side, in place of a move that brought it here; what the new side is like may be corrected until it is
 * whole. With `closesLog` nothing is appended any more when it resolves.
 */
export async function markSource(database: Database, mark: NewMark, closesLog: boolean): Promise<void> {
  await database.transaction(async (transaction) => {
    await transaction.query(
      `INSERT INTO moves (move_id, side, log_driver, place, database) VALUES ($1, 'source', $2, $3, $4)
       ON CONFLICT (only_row) DO UPDATE SET move_id = excluded.move_id, side = 'source', is_whole = false,
             log_driver = excluded.log_driver, place = excluded.place, database = excluded.database
        WHERE (moves.side = 'target' AND moves.is_whole)
           OR (moves.side = 'source' AND NOT moves.is_whole AND moves.move_id = excluded.move_id)`,
      [mark.moveId, mark.logDriver, mark.place, mark.database],
    )
    // Nobody takes a job any more who was silent for so long that no connection of his was seen.
    await transaction.query("UPDATE store SET state = 'recovering'")
    await transaction.query('DROP TRIGGER IF EXISTS log_closed ON log_partitions')
    if (closesLog)
      await transaction.query(
        `CREATE TRIGGER log_closed BEFORE UPDATE OF next_offset ON log_partitions
           FOR EACH STATEMENT EXECUTE FUNCTION refuse_append()`,
      )
  })
}

/** The new side may not start until its mark is whole. @throws MOVE_TARGET_NOT_EMPTY where it has a mark of another move */
export async function markTarget(database: Queryable, mark: NewMark): Promise<void> {
  await database.query(
    `INSERT INTO moves (move_id, side, log_driver, place, database) VALUES ($1, 'target', $2, $3, $4)
     ON CONFLICT (only_row) DO UPDATE SET log_driver = excluded.log_driver, place = excluded.place
      WHERE moves.move_id = excluded.move_id AND NOT moves.is_whole`,
    [mark.moveId, mark.logDriver, mark.place, mark.database],
  )
  const there = await readMark(database)
  if (there?.moveId !== mark.moveId)
    throw new HooktrailError('MOVE_TARGET_NOT_EMPTY', { found: `a move to ${there?.place ?? ''}` })
}

/** In a transaction. As the target it may start from then on, as the source never again; where both are one database it becomes the target. */
export async function markWhole(
  transaction: Queryable,
  moveId: string,
  side: MoveMark['side'],
): Promise<void> {
  await transaction.query('UPDATE moves SET is_whole = true, side = $2 WHERE move_id = $1', [moveId, side])
  if (side === 'target') await transaction.query("UPDATE store SET state = 'ok'")
}

/** The old side may start again. Only while the new one is not whole: afterwards there would be two histories. */
export async function clearMark(database: Database, moveId: string): Promise<void> {
  await database.transaction(async (transaction) => {
    const cleared = await transaction.query(
      'DELETE FROM moves WHERE move_id = $1 AND NOT is_whole RETURNING move_id',
      [moveId],
    )
    if (cleared.length === 0) return
    await transaction.query('DROP TRIGGER IF EXISTS log_closed ON log_partitions')
    await transaction.query("UPDATE store SET state = 'ok'")
  })
}
