/** What the log's callers get to see: LOG_UNAVAILABLE for whatever the database could not do, the rest as it is. */
import { HooktrailError, isHooktrailError } from '../../core/error/hooktrail-error.ts'
import { sqlStateOf } from './database-error.ts'

/** Raised by log_append (infra/sql/000001_log.sql) when a partition does not exist. */
const NO_PARTITION = 'HT001'
/** Raised once a move has closed the log (infra/sql/000006_moves.sql). */
const CLOSED = 'HT003'

export async function asLogError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (sqlStateOf(error) === NO_PARTITION) throw new HooktrailError('LOG_TOPIC_REPLACED', {}, error)
    if (sqlStateOf(error) === CLOSED)
      throw new HooktrailError('LOG_UNAVAILABLE', { reason: 'hooktrail move has closed it' }, error)
    if (isHooktrailError(error, 'STORE_UNAVAILABLE') || isHooktrailError(error, 'STORE_FULL'))
      throw new HooktrailError('LOG_UNAVAILABLE', { ...error.details, store: error.code }, error)
    throw error
  }
}
